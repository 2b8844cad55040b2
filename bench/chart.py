"""The chart of docs/performance.md: CPU per message, as plain SVG.

Its colours have a medium brightness, so that it is readable on white and on black.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from bench.table import OURS, Results

WIDTH = 760
LABELS = 190
"""Width of the labels before the bars."""
VALUES = 90
"""Width of the values after the bars."""
LINE = 26
BAR = 16
TITLE = 34

TEXT = "#808893"
THEIRS = "#9aa3ae"
MINE = "#2f81f7"


def chart(results: Results) -> str:
    """An SVG document with a bar per contestant, pull mode above push mode."""
    parts: list[str] = []
    top = 0
    for mode in ("pull", "push"):
        contestants = results[mode]["small"]
        title = f"{mode.title()} mode: CPU per message of 300 B, in microseconds"
        parts += _panel(title, contestants, top)
        top += TITLE + LINE * len(contestants) + 10
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img"',
            f' font-family="system-ui, sans-serif" font-size="13" fill="{TEXT}">',
            "<title>CPU per message of Relay and its peers, shorter is better</title>",
            *parts,
            "</svg>\n",
        )
    )


def _panel(title: str, contestants: Mapping[str, Any], top: int) -> Iterator[str]:
    yield f'<text x="0" y="{top + 20}" font-weight="bold">{escape(title)}</text>'
    most = max(one["cpu"] for one in contestants.values())
    for number, (name, one) in enumerate(contestants.items()):
        y = top + TITLE + LINE * number
        width = max(1.0, (WIDTH - LABELS - VALUES) * one["cpu"] / most)
        text = y + BAR - 3
        colour = MINE if name in OURS else THEIRS
        yield f'<text x="{LABELS - 10}" y="{text}" text-anchor="end">{escape(name)}</text>'
        yield (
            f'<rect x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" '
            f'fill="{colour}"/>'
        )
        yield f'<text x="{LABELS + width + 8:.1f}" y="{text}">{one["cpu"]:,.0f}</text>'
