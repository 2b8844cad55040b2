"""`relay doctor` where there is little room, and what machines can rely on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from relay.cli import doctor
from relay.ops.doctor.result import CheckResult, ok

FINDINGS = [
    ok("settings", "no mistakes among them"),
    CheckResult(
        check="permission.sqs:ChangeMessageVisibility",
        state="fail",
        found="not permitted",
        why="what waits cannot be hidden",
        fix="grant it",
    ),
]


@pytest.mark.parametrize("width", [40, 80, 160])
def test_everything_that_was_found_is_shown_at_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = io.StringIO()
    page.isatty = lambda: True  # type: ignore[method-assign] # a terminal of this width
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout", page)
    doctor._print(FINDINGS)
    text = " ".join(page.getvalue().split())
    for words in ("no mistakes among them", "not permitted", "→ grant it", "1 ok, 0 warn, 1 fail"):
        assert words in text
    assert Console().width == width


def test_a_machine_finds_every_count_a_zero_too() -> None:
    document = doctor._document(FINDINGS)
    assert document["counts"] == {"ok": 1, "warn": 0, "fail": 1, "not checked": 0}
