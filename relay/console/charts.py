"""Small charts as SVG: the numbers become coordinates here, and the templates draw them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 240, 40
"""The coordinates of a chart; the page scales it."""

_MARGIN = 2


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a bar that is `WIDTH` wide."""

    kind: str
    x: float
    width: float


def polyline(values: Sequence[float | None]) -> str:
    """The points of a line through the values that are known, each at its place."""
    top = max((value for value in values if value is not None), default=0.0)
    last = max(1, len(values) - 1)
    height = HEIGHT - 2 * _MARGIN
    points = (
        (WIDTH * i / last, HEIGHT - _MARGIN - (height * value / top if top else 0.0))
        for i, value in enumerate(values)
        if value is not None
    )
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def bars(parts: Iterable[tuple[str, float]]) -> list[Bar]:
    """Parts beside each other, each as wide as its share of the whole."""
    given = list(parts)
    total = sum(size for _, size in given)
    found, x = list[Bar](), 0.0
    for kind, size in given:
        width = WIDTH * size / total if total else WIDTH / len(given)
        found.append(Bar(kind, round(x, 1), round(width, 1)))
        x += width
    return found
