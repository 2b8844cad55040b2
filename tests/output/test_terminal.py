"""Each text is printed on its own line, whatever is in it and whatever can be encoded."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from relay.cli import main
from relay.output.console import open_console, safe_text
from relay.output.terminal import (
    LastResort,
    echo,
    echo_json,
    escape,
    escape_json,
    escape_text,
    write,
)
from tests.hostile import HOSTILE, assert_harmless, assert_shown


@given(st.text(st.characters()))
def test_an_escaped_text_is_printable_and_escaping_it_again_changes_nothing(text: str) -> None:
    assert escape(text).isprintable()
    assert escape(escape(text)) == escape(text)
    assert escape_text(text).replace("\n", "").replace("\t", "").isprintable()


@given(st.recursive(st.text(st.characters()), lambda inner: st.lists(inner) | st.tuples(inner)))
def test_escaped_json_has_the_same_value(value: object) -> None:
    for ascii_ in (True, False):
        text = escape_json(json.dumps(value, ensure_ascii=ascii_, indent=1))
        assert_harmless(text)
        assert json.loads(text) == json.loads(json.dumps(value))


def test_printable_text_of_any_script_stays() -> None:
    for text in ("заказ", "注文", "café", "🔑", "a b"):
        assert escape(text) == text
    assert escape("\x1b\u202e\ud800\x7f\n") == "\\x1b\\u202e\\ud800\\x7f\\n"


def test_each_text_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    echo("a\nb", HOSTILE)
    write("a\n\tb\r")
    echo_json({HOSTILE: "\x7f"})
    out = capsys.readouterr().out
    assert out.startswith("a\\nb\n")
    assert "a\n\tb\\r" in out
    assert_shown(out)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_the_stream_cannot_encode_is_escaped(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    echo("→ \ud800 é")
    shown = raw.getvalue().decode(encoding)
    assert shown == {
        "ascii": "\\u2192 \\ud800 \\xe9\n",
        "latin-1": "\\u2192 \\ud800 é\n",
        "utf-8": "→ \\ud800 é\n",
    }[encoding]  # fmt: skip


def test_a_console_prints_no_control_character_and_no_markup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    console = open_console(pipe_width=200)
    console.print(table, HOSTILE, safe_text(HOSTILE))
    assert_shown(out.getvalue())
    assert "[red]markup[/red]" in out.getvalue()
    assert ":bomb:" in out.getvalue()


def test_what_is_logged_without_a_log_is_escaped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging, "lastResort", None)
    monkeypatch.setattr(sys, "argv", ["relay", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert isinstance(logging.lastResort, LastResort)
    try:
        raise ValueError(HOSTILE)  # noqa: TRY301 - its traceback is what is logged
    except ValueError:
        fields = {"msg": f"a {HOSTILE}", "levelno": 30, "exc_info": sys.exc_info()}
    logging.lastResort.handle(logging.makeLogRecord(fields))
    shown = capsys.readouterr().err
    assert_shown(shown)
    assert shown.splitlines()[1] == "Traceback (most recent call last):"
