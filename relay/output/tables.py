"""Tables for people: a header, columns that fit the terminal, whole cells in a pipe.

On a terminal a table is as wide as the window at most: optional columns are left out from the
right, then the widest cells are cut. In a pipe nothing is cut. Colours follow `NO_COLOR`, `TERM`
and whether the output is a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from relay.output.console import open_console
from relay.output.terminal import echo, escape, is_terminal

GAP = 2
"""Spaces between two columns."""

AT_ONCE = 1_000
"""Rows of which the widths are computed together, so that a long table is printed as it comes."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        title: in the header.
        right: whether its cells are aligned to the right, as numbers are.
        least: cells that it keeps when the table has to shrink; None if it is never cut.
        optional: whether it is left out of a table that is too wide.
        below: whether its cells are lines below their rows if the table is too wide with it.
        style: of its cells on a terminal that has colours, such as `yellow`.
    """

    title: str
    right: bool = False
    least: int | None = None
    optional: bool = False
    below: bool = False
    style: str = ""


def terminal_width(*, err: bool = False) -> int | None:
    """Columns of the terminal, or None if the output is a pipe or a file."""
    return open_console(err=err).width if is_terminal(err=err) else None


def table_lines(
    columns: Sequence[Column], rows: Iterable[Sequence[object]], width: int | None
) -> Iterator[Text]:
    """The header and a line for each row, each at most `width` wide where that is possible."""
    remaining = iter(rows)
    chunk = [[_text(cell) for cell in row] for row in islice(remaining, AT_ONCE)]
    positions, widths = _layout(columns, chunk, width)
    shown = [columns[i] for i in positions]
    below = [i for i, column in enumerate(columns) if column.below and i not in positions]
    yield _line(shown, widths, [column.title for column in shown], "bold", whole=True)
    while chunk:
        for row in chunk:
            yield _line(shown, widths, [row[i] for i in positions], whole=width is None)
            for i in below:
                indented = cut(f"{' ' * GAP}{row[i]}", width or 0)
                yield Text(indented, columns[i].style, no_wrap=True)
        chunk = [[_text(cell) for cell in row] for row in islice(remaining, AT_ONCE)]


def print_table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[object]],
    *,
    header: bool = True,
    err: bool = False,
) -> None:
    """Print a table on standard output, or standard error; without `header` only its rows."""
    lines = table_lines(columns, rows, terminal_width(err=err))
    print_lines(islice(lines, not header, None), err=err)


def print_lines(lines: Iterable[Text | str], *, err: bool = False) -> None:
    """Print each line, in colour on a terminal. Lines are not wrapped."""
    if not is_terminal(err=err):
        for line in lines:
            echo(str(line), err=err)
        return
    console = open_console(err=err)
    for line in lines:
        text = line if isinstance(line, Text) else Text(escape(line))
        console.print(text, soft_wrap=True)


def print_text(lines: Iterable[Text | str], *, err: bool = False) -> None:
    """Print sentences, in colour and wrapped between words on a terminal."""
    if not is_terminal(err=err):
        print_lines(lines, err=err)
        return
    console = open_console(err=err)
    for line in lines:
        console.print(line if isinstance(line, Text) else Text(escape(line)))


def cut(text: str, width: int) -> str:
    """The text on one line, escaped and cut to so many columns of a terminal."""
    plain = escape(text[: width + 1])
    if cell_len(plain) <= width:
        return plain
    return set_cell_size(plain, width - 1).rstrip() + "…"


def _text(cell: object) -> str:
    return escape(str(cell))


def _layout(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None
) -> tuple[list[int], list[int]]:
    """The positions of the columns that are shown, and the width of each."""
    natural = [
        max([cell_len(column.title), *(cell_len(row[i]) for row in rows)])
        for i, column in enumerate(columns)
    ]
    shown = list(range(len(columns)))
    if width is None:
        return shown, natural
    if _total(natural) > width:
        shown = [i for i in shown if not columns[i].below]
    while _total([_least(columns[i], natural[i]) for i in shown]) > width:
        optional = [i for i in shown if columns[i].optional]
        if not optional:
            break
        shown.remove(optional[-1])
    return shown, _shrunk([columns[i] for i in shown], [natural[i] for i in shown], width)


def _shrunk(columns: Sequence[Column], natural: Sequence[int], width: int) -> list[int]:
    widths = list(natural)
    while _total(widths) > width:
        room = [(w, i) for i, w in enumerate(widths) if w > _least(columns[i], w)]
        if not room:
            break
        widths[max(room)[1]] -= 1
    return widths


def _least(column: Column, natural: int) -> int:
    return natural if column.least is None else min(natural, max(column.least, len(column.title)))


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _line(
    columns: Sequence[Column],
    widths: Sequence[int],
    cells: Sequence[str],
    style: str | None = None,
    *,
    whole: bool,
) -> Text:
    """A line; without `whole` a cell that is wider than its column is cut."""
    line = Text(no_wrap=True)
    for position, (column, width, cell) in enumerate(zip(columns, widths, cells, strict=True)):
        text = cell if whole else cut(cell, width)
        space = " " * (width - cell_len(text))
        line.append(" " * GAP if position else "")
        line.append(space + text if column.right else text, style or column.style)
        line.append("" if column.right else space)
    line.rstrip()
    return line
