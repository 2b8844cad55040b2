"""The code speaks the field's language: retired private words stay out of names."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = ("relay", "bench", "cdk", "examples", "tests")
RETIRED = {
    "books": "reconciliation",
    "course": "run control",
    "desk": "queue pair",
    "errand": "selection",
    "fate": "prediction",
    "foretell": "predict",
    "hearing": "evidence",
    "in_hand": "in flight",
    "kinship": "duplicates",
    "last_call": "expiring sweep",
    "letter": "dead letter",
    "parcel": "prepared message",
    "road": "target",
    "servant": "server process",
    "stays": "skipped",
    "straight": "direct",
    "tally": "counts",
    "twin": "duplicate",
    "untaken": "not accepted",
    "way": "gate",
    "way_in": "receive health",
    "wish": "redrive options",
}
"""Each word with what to say instead: see docs/glossary.md."""

WORDS = "|".join(sorted(RETIRED, key=len, reverse=True))
PATTERN = re.compile(rf"(?<![a-z])(?<!dead_)(?<!under_)({WORDS})s?(?![a-z])")


def snake(name: str) -> str:
    """`InHand` as `in_hand`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def retired_in(name: str) -> str | None:
    """The retired word in an identifier or a file's name."""
    found = PATTERN.search(snake(name))
    return found[1] if found else None


def names(text: str) -> Iterator[tuple[int, str]]:
    """Every identifier of a module with its line."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


def modules() -> Iterator[Path]:
    """Every Python file of the repository's own."""
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            # An example may have an environment of its own, in a hidden directory.
            if not any(part.startswith(".") for part in path.relative_to(ROOT).parts):
                yield path


def test_no_file_and_no_identifier_has_a_retired_name() -> None:
    found = []
    for path in modules():
        relative = path.relative_to(ROOT)
        if (word := retired_in(relative.with_suffix("").as_posix())) is not None:
            found.append(f"{relative}: {word} -> {RETIRED[word]}")
        for line, name in names(path.read_text()):
            if path == Path(__file__) or name.startswith("test_"):
                continue  # a test's name is an English sentence
            if (word := retired_in(name)) is not None:
                found.append(f"{relative}:{line}: {name}: {word} -> {RETIRED[word]}")
    assert found == []


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("InHand", "in_hand"),
        ("IN_HAND_BYTES", "in_hand"),
        ("LETTERS", "letter"),
        ("dead_letters", None),
        ("DeadLetter", None),
        ("gateway", None),
        ("_under_way", None),
        ("always", None),
        ("way", "way"),
        ("_wayIn", "way_in"),
    ],
)
def test_a_retired_word_is_found_in_any_spelling_and_inside_no_other_word(
    name: str, word: str | None
) -> None:
    assert retired_in(name) == word
