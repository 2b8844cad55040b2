"""Answers as no service should give them: each value of a right one replaced or left out."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

OTHERS: tuple[Any, ...] = (
    None,
    True,
    -1,
    7,
    1e300,
    10**400,
    "",
    "text",
    "9" * 5_000,
    "1e999",
    "\ud800",
    [],
    [None],
    ["text"],
    [7],
    [[]],
    {},
    {"text": None},
    {"Id": []},
)
"""What takes the place of each value."""

RAW: tuple[bytes, ...] = (
    b"",
    b"null",
    b"7",
    b'"text"',
    b"[]",
    b"{}",
    b"[{}]",
    b"\xff\xfe",
    b'{"a": "\xff"}',
    b"<html><body>Sign in</body></html>",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"1" * 100_000,
    b'{"a": NaN, "b": Infinity}',
)
"""Whole bodies."""


def mutations(answer: Any) -> Iterator[bytes]:
    """The bodies of every mutation of this answer, and of answers that are none."""
    for path in list(_paths(answer)):
        for other in OTHERS:
            yield _encoded(_replaced(answer, path, other))
        if path:
            yield _encoded(_without(answer, path))
    whole = _encoded(answer)
    for end in range(1, len(whole), max(1, len(whole) // 20)):
        yield whole[:end]
    yield from RAW


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inside = (
        value if isinstance(value, dict) else dict(enumerate(value if type(value) is list else ()))
    )
    for key, one in inside.items():
        yield from _paths(one, (*path, key))


def _replaced(answer: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    changed = copy.deepcopy(answer)
    _parent(changed, path)[path[-1]] = other
    return changed


def _without(answer: Any, path: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(answer)
    del _parent(changed, path)[path[-1]]
    return changed


def _parent(answer: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        answer = answer[key]
    return answer


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode()
