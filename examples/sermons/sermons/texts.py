"""The words of fifty short sermons, which espeak-ng reads aloud and the recogniser writes down."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_THEMES = {
    "The lost sheep": "the shepherd leaves the ninety nine and looks for the one that is lost",
    "The two sons": "the father runs to meet his son while he is still far away",
    "The sower": "a farmer sows good seed and some of it falls on the rocks",
    "The lamp": "nobody lights a lamp and hides it under a basket",
    "Two builders": "one house stands on rock and another house falls on sand",
    "Forgiveness": "forgive your brother seventy times seven",
    "The cornerstone": "the stone that the builders refused became the corner",
    "Yeast": "a little yeast makes the whole bread rise",
    "The storm": "the wind is loud but the boat will not sink",
    "The quiet voice": "after the fire came a quiet voice",
    "The widow": "she gave two small coins and it was everything she had",
    "The neighbor": "a stranger stopped on the road and carried the wounded man",
    "Mustard seed": "the smallest seed becomes a tree where birds can rest",
    "The feast": "the rich guests stayed away so the poor were invited",
    "The pearl": "the merchant sold everything to buy one pearl",
    "The workers": "the last workers were paid as much as the first",
    "The door": "knock and the door will be opened",
    "Lilies": "consider the flowers of the field for they do not worry",
    "The vine": "a branch that is cut from the vine bears no fruit",
    "Salt": "salt without taste is thrown away",
    "The well": "a woman came to the well at noon to draw water",
    "Sabbath": "on the seventh day there is rest for the whole house",
    "Ruth": "wherever you go your people will be my people",
    "Jonah": "three days inside the fish and then a city that listened",
    "Wisdom": "better a dry crust with peace than a feast with anger",
}
_VOICES = {"North Chapel": "en-us+f2", "South Chapel": "en-us+f3"}


@dataclass(frozen=True, kw_only=True)
class Script:
    """What is read aloud. The slug becomes the name of the uploaded object."""

    slug: str
    title: str
    words: str
    voice: str


def scripts() -> list[Script]:
    """Fifty scripts: each theme as preached in two chapels, with different voices."""
    return [
        Script(slug=slug(f"{title} {place}"), title=f"{title}, {place}", words=words, voice=voice)
        for title, words in _THEMES.items()
        for place, voice in _VOICES.items()
    ]


def corpus() -> list[str]:
    """The sentences that the recogniser's language model is made of."""
    return list(_THEMES.values())


def slug(title: str) -> str:
    """A title as the name of an object: lowercase letters and digits with hyphens.

    Raises:
        ValueError: nothing of the title is left.
    """
    plain = unicodedata.normalize("NFKD", title.lower()).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "-", plain)[:80].strip("-")
    if not name:
        raise ValueError(
            f"the title {title!r} needs a letter from a to z or a digit for its address"
        )
    return name
