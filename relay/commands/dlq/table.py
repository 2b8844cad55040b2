"""Columns of text for a terminal or a pipe, safe whatever producers sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

_WIDEST = 60


def table(head: Sequence[str], given: Iterable[Sequence[object]]) -> Iterator[str]:
    """The lines, each cell as wide as its column; numbers stand at the right."""
    rows = list(given)
    shown = [[clean(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *shown, strict=True)]
    right = [all(isinstance(row[i], int) for row in rows) for i in range(len(head))]
    for cells in (list(head), *shown):
        parts = (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(cells, widths, right, strict=True)
        )
        yield "  ".join(parts).rstrip()


def clean(text: str, widest: int = _WIDEST) -> str:
    """The text on one line, cut to a width: an escape sequence must not reach a terminal."""
    plain = printable(text).replace("\n", " ")
    return plain if len(plain) <= widest else plain[: widest - 1] + "…"


def printable(text: str) -> str:
    """The text with every control character but the line break shown as its escape."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)
