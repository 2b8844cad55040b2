"""Figures as people write them."""

from __future__ import annotations

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_KIB = 1_024


def duration(seconds: float) -> str:
    """`13 d`, `90 min`, `45 s`: the largest unit in which at most one decimal is needed."""
    for size, unit in _UNITS:
        if seconds >= size and (seconds * 10) % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def size(count: int) -> str:
    """`1 MiB`, `256 KiB`, `1000 bytes`."""
    for unit, factor in (("MiB", _KIB * _KIB), ("KiB", _KIB)):
        if count >= factor and (count * 10) % factor == 0:
            return f"{count / factor:g} {unit}"
    return f"{count} bytes"
