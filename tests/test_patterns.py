"""No regular expression takes more than linear time, whatever text it is given.

Each pattern of the package is given repetitions of each of its parts, after its beginning: that is
the worst case of a pattern that backtracks or starts its search again at each character. The work
for a text eight times as long may not be many times eight.
"""

from __future__ import annotations

import ast
import importlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parents[1] / "relay"
LONG = 40_000
MOST = 3 * 8
"""Times the work: 8 for a linear pattern, 64 for a quadratic one."""

NOISE = 0.02
"""Seconds of CPU. A quadratic pattern takes more for the long text; below this nothing is said."""

METHODS = ("fullmatch", "match", "search", "sub", "finditer", "findall", "split")
ANCHORED = {"fullmatch", "match"}


def patterns() -> Iterator[tuple[str, re.Pattern[Any], bool]]:
    """Each compiled pattern of a module, also within a table, and whether it is searched for."""
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text()
        if "re.compile(" not in text:
            continue
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        module = importlib.import_module(name)
        for variable, value in vars(module).items():
            for number, pattern in enumerate(_inside(value)):
                yield f"{name}.{variable}[{number}]", pattern, _is_searched(text, variable)


def _inside(value: object) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _inside(one)


def _is_searched(text: str, variable: str) -> bool:
    """Whether a method other than `match` and `fullmatch` is called: these start once only."""
    calls = {
        node.attr
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == variable
        and node.attr in METHODS
    }
    return not calls or not calls <= ANCHORED


def attacks(pattern: re.Pattern[Any], length: int) -> Iterator[str]:
    """Texts of this length: a beginning of the pattern, and then a part of it again and again."""
    samples = _samples(pattern)
    spans = [(i, j) for i in range(len(samples)) for j in range(i + 1, len(samples) + 1)]
    for start, end in spans:
        part = "".join(samples[start:end])
        parts = {part, part.replace(" ", "\n"), f"{part}\n"} if part else ()
        for before in {"", "".join(samples[:start])}:
            for one in sorted(parts):
                again = f"{before}{one * (length // len(one))}"
                yield from (again, f"{again}\0")


def _samples(pattern: re.Pattern[Any]) -> list[str]:
    """A text that each part of the pattern matches, one character for each repetition."""
    parser = importlib.import_module("re._parser")
    found: list[str] = []
    literal = False
    for item in parser.parse(pattern.pattern, pattern.flags):
        was_literal, literal = literal, str(item[0]) == "LITERAL"
        for text in _sample(item):
            if literal and was_literal:
                found[-1] += text
            else:
                found.append(text)
    return found


def _sample(item: tuple[Any, Any]) -> list[str]:
    kind, given = str(item[0]), item[1]
    match kind:
        case "LITERAL":
            found = [chr(given)]
        case "NOT_LITERAL":
            found = ["a" if given != ord("a") else "b"]
        case "ANY":
            found = ["a"]
        case "IN":
            found = [_member(given)]
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            found = _flat(given[2]) * max(1, min(given[0], 3))
        case "SUBPATTERN":
            found = _flat(given[-1])
        case "ATOMIC_GROUP":
            found = _flat(given)
        case "BRANCH":
            found = ["".join(_flat(branch)) for branch in given[1]]
        case _:
            found = []
    return found


def _flat(items: Any) -> list[str]:
    return [text for item in items for text in _sample(item)]


def _member(choices: Any) -> str:
    """A character of a class: one that many classes share, so that neighbours compete for it."""
    negated = str(choices[0][0]) == "NEGATE"
    text = _class(choices)
    candidates = "a0A-._ /:bcdefx1\t\\%&\x00\ud800\x80" + "".join(
        chr(given) for kind, given in choices if str(kind) == "LITERAL" and not negated
    )
    return next(c for c in candidates if re.fullmatch(text, c))


def _class(choices: Any) -> str:
    names = {
        "CATEGORY_DIGIT": r"\d", "CATEGORY_NOT_DIGIT": r"\D", "CATEGORY_SPACE": r"\s",
        "CATEGORY_NOT_SPACE": r"\S", "CATEGORY_WORD": r"\w", "CATEGORY_NOT_WORD": r"\W",
    }  # fmt: skip
    text = ""
    for kind, given in choices:
        match str(kind):
            case "NEGATE":
                text += "^"
            case "LITERAL":
                text += f"\\U{given:08x}"
            case "RANGE":
                text += f"\\U{given[0]:08x}-\\U{given[1]:08x}"
            case "CATEGORY":
                text += names[str(given)]
    return f"[{text}]"


def work(pattern: re.Pattern[Any], text: str, *, searched: bool) -> float:
    """Seconds of CPU."""
    given: Any = text if isinstance(pattern.pattern, str) else text.encode(errors="replace")
    began = time.process_time()
    if searched:
        for _ in pattern.finditer(given):
            pass
    else:
        pattern.fullmatch(given)
        pattern.match(given)
    return time.process_time() - began


def too_slow(pattern: re.Pattern[Any], *, searched: bool, length: int = LONG) -> str | None:
    """The beginning of a text that takes more than linear time, None if there is none."""
    pairs = zip(attacks(pattern, length // 8), attacks(pattern, length), strict=True)
    for short, long in pairs:
        # The best of three: another process may have run meanwhile.
        if work(pattern, long, searched=searched) < NOISE:
            continue
        most = min(work(pattern, long, searched=searched) for _ in range(3))
        least = min(work(pattern, short, searched=searched) for _ in range(3))
        if most >= NOISE and most > MOST * least:
            return long[:60]
    return None


EVERY = list(patterns())


@pytest.mark.parametrize(
    ("pattern", "searched"),
    [pytest.param(pattern, searched, id=name) for name, pattern, searched in EVERY],
)
def test_a_pattern_takes_linear_time(pattern: re.Pattern[Any], searched: bool) -> None:
    assert too_slow(pattern, searched=searched) is None


def test_every_pattern_is_found() -> None:
    compiled = sum(path.read_text().count("= re.compile(") for path in PACKAGE.rglob("*.py"))
    assert len(EVERY) >= compiled > 40


@pytest.mark.parametrize(
    ("text", "searched", "length"),
    [
        (r"(https?://[^\s?\"'<>\\]+\?)[^\s\"'<>\\#]+", True, LONG),
        (r"(?m)^\s*([a-z_]+)=", True, 6_000),
        (r"\d+\w*-", False, 6_000),
    ],
)
def test_a_slow_pattern_is_found(text: str, searched: bool, length: int) -> None:
    assert too_slow(re.compile(text), searched=searched, length=length) is not None
