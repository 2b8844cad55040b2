"""Tables: they fit the terminal, and a pipe gets every cell whole."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from relay.output.tables import AT_ONCE, Column, cut, table_lines
from relay.output.times import format_relative

COLUMNS = (
    Column("event", least=10),
    Column("code", least=8),
    Column("messages", right=True),
    Column("oldest", optional=True),
    Column("example", optional=True),
)
ROWS = [
    ("shop/order.paid", "ts_in_seconds", 40, "2026-05-04 00:02:40Z", "0a7c" * 9),
    ("日本語" * 20, "x" * 90, 3, "-", "c"),
]


def lines(width: int | None) -> list[str]:
    return [str(line) for line in table_lines(COLUMNS, ROWS, width)]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(cell_len, lines(width))) <= width


def test_optional_columns_give_way_from_the_right() -> None:
    assert lines(200)[0].split() == ["event", "code", "messages", "oldest", "example"]
    assert lines(70)[0].split() == ["event", "code", "messages", "oldest"]
    assert lines(40)[0].split() == ["event", "code", "messages"]


def test_a_pipe_gets_every_cell_whole_in_later_rows_too() -> None:
    rows = [("a", "b", 1, "-", "-")] * AT_ONCE + [("z" * 300, "b", 1, "-", "-")]
    *_, last = table_lines(COLUMNS, rows, None)
    assert "z" * 300 in str(last)
    assert "日本語" * 20 in lines(None)[2]


def _numbers(count: int) -> str:
    columns = (Column("messages", right=True), Column("event"))
    return str(list(table_lines(columns, [(count, "a")], None))[1])


def test_numbers_are_aligned_to_the_right() -> None:
    assert _numbers(1) == "       1  a"
    assert _numbers(1_000) == "    1000  a"


def test_a_cell_controls_no_terminal() -> None:
    [_, line] = table_lines((Column("event"),), [("\x1b[31mred\n",)], 80)
    assert str(line) == r"\x1b[31mred\n"


def test_what_is_cut_ends_with_an_ellipsis() -> None:
    assert cut("abcdefgh", 5) == "abcd…"
    assert cut("abcde", 5) == "abcde"
    assert cell_len(cut("日本語日本語", 5)) <= 5


def test_times_are_told_as_seen_from_now() -> None:
    assert format_relative(1_000.0, 8_200.0) == "2 h ago"
    assert format_relative(90_000.0, 3_600.0) == "in 1 d"
    assert format_relative(None, 0.0) == "-"
