"""Waves: an order in which no message of a group goes before the one ahead of it has gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def waves(groups: Sequence[str | None]) -> Iterator[list[int]]:
    """Positions: the first of each group, then the second of each, and so on."""
    left = list(range(len(groups)))
    while left:
        wave: list[int] = []
        rest: list[int] = []
        met: set[str | None] = set()
        for i in left:
            (rest if groups[i] in met else wave).append(i)
            met.add(groups[i])
        yield wave
        left = rest
