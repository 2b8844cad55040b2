"""A text with its escapes decoded, and where each of its characters comes from.

A secret comes back in more forms than can be listed: JSON may escape any character, a URL and HTML
too, and each may be inside another. So the text is decoded, layer by layer, and searched for the
plain secret; a hit is mapped back to the text as it was given. Each layer takes linear time.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property, lru_cache
from itertools import accumulate

LAYERS = 4
"""Encodings inside each other that are decoded, such as a URL in JSON in a JSON string."""

_ESCAPE = re.compile(
    r"\\(?:u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[\"'\\/bfnrt])"
    r"|%[0-9a-fA-F]{2}"
    r"|&(?:\#[0-9]{1,7}|\#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,8});",
)
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_LAST_CHARACTER = 0x10FFFF


class DecodedText:
    """One layer: `text`, and `source`, which maps a range of it to the text as it was given."""

    def __init__(self, text: str, parent: DecodedText | None = None) -> None:
        self._parent = parent
        self.text = text if parent is None else _ESCAPE.sub(_replaced, text)

    def source(self, start: int, end: int) -> tuple[int, int]:
        """The range that this range comes from, with whole escapes."""
        if self._parent is None:
            return start, end
        return self._parent.source(self._back(start)[0], self._back(end - 1)[1])

    def widened(self, start: int, end: int) -> tuple[int, int]:
        """A range of the parent's text, widened to whole escapes, so that JSON stays valid."""
        starts, ends, _ = self._escapes
        first = bisect_right(starts, start) - 1
        if first >= 0 and start < ends[first]:
            start = starts[first]
        last = bisect_right(starts, end - 1) - 1
        if last >= 0 and end < ends[last]:
            end = ends[last]
        return start, end

    def _back(self, place: int) -> tuple[int, int]:
        """Start and end in the parent's text of the character at this place."""
        starts, ends, places = self._escapes
        escape = bisect_right(places, place) - 1
        if escape < 0:
            return place, place + 1
        if places[escape] == place:
            return starts[escape], ends[escape]
        start = ends[escape] + place - places[escape] - 1
        return start, start + 1

    @cached_property
    def _escapes(self) -> tuple[list[int], list[int], list[int]]:
        """Start and end of each escape in the parent's text, and its place in this one.

        Only needed where something was found, and half of the work.
        """
        found = self._parent.text if self._parent else ""
        spans = [match.span() for match in _ESCAPE.finditer(found)]
        shorter = accumulate((end - start - 1 for start, end in spans), initial=0)
        places = [start - less for (start, _), less in zip(spans, shorter, strict=False)]
        return [start for start, _ in spans], [end for _, end in spans], places


def layers(text: str) -> Iterator[DecodedText]:
    """The text, and then each layer below it that differs from the one above."""
    layer = DecodedText(text)
    yield layer
    for _ in range(LAYERS):
        if not ("\\" in layer.text or "%" in layer.text or "&" in layer.text):
            return
        below = DecodedText(layer.text, layer)
        if len(below.text) == len(layer.text):
            return
        layer = below
        yield layer


def _replaced(match: re.Match[str]) -> str:
    return _character(match[0])


@lru_cache(maxsize=4_096)
def _character(escape: str) -> str:
    """What an escape stands for, always one character."""
    if escape[0] == "&":
        found = html.unescape(escape)
        return found if len(found) == 1 else "\0"
    if escape[0] == "%":
        return chr(int(escape[1:], 16))
    if digits := escape[2:]:
        code = int(digits, 16)
        return chr(code) if code <= _LAST_CHARACTER else "\0"
    return _SIMPLE.get(escape[1], escape[1])
