"""The output of `relay doctor`: a table, and JSON."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from relay.cli import doctor
from relay.ops.doctor.result import CheckResult, ok
from tests.ops.doctor.conftest import EVENT_KEY, SIGNING_KEY, Deployment, run

RESULTS = [
    ok("settings", "no errors"),
    CheckResult(
        check="permission.sqs:ChangeMessageVisibility",
        status="fail",
        found="not permitted",
        why="messages cannot be hidden",
        fix="grant it",
    ),
]


async def test_the_table_has_the_result_the_reason_and_the_fix(deployment: Deployment) -> None:
    deployment.set("relay", VisibilityTimeout="30")
    result = await run("doctor", **deployment.settings)
    out = result.out
    assert (result.code, result.err) == (0, "")
    assert "warn" in out
    assert "→ set the queue's VisibilityTimeout above 870" in out
    assert '"Action": ["sqs:SendMessage"]' in out
    assert out.rstrip().splitlines()[-1].startswith("31 ok, 1 warn, 0 fail, ")
    assert EVENT_KEY not in out
    assert SIGNING_KEY not in out


async def test_a_failure_is_exit_code_1_and_is_in_the_json(deployment: Deployment) -> None:
    deployment.set("relay-dead", RedriveAllowPolicy='{"redrivePermission":"denyAll"}')
    result = await run("doctor", "--json", "--pull", **deployment.settings)
    document = json.loads(result.out)
    assert result.code == 1
    assert document["healthy"] is False
    assert document["counts"]["fail"] == 1
    (failing,) = [result for result in document["results"] if result["status"] == "fail"]
    assert failing["check"] == "dlq.allow-policy"
    assert {"found", "why", "fix"} <= failing.keys()


@pytest.mark.parametrize("width", [40, 80, 160])
def test_every_result_is_shown_at_any_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    page = io.StringIO()
    page.isatty = lambda: True  # type: ignore[method-assign] # a terminal of this width
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout", page)
    doctor._print(RESULTS)
    text = " ".join(page.getvalue().split())
    for words in ("no errors", "not permitted", "→ grant it", "1 ok, 0 warn, 1 fail"):
        assert words in text
    assert Console().width == width


def test_the_json_has_every_count_including_zeros() -> None:
    document = doctor._document(RESULTS)
    assert document["counts"] == {"ok": 1, "warn": 0, "fail": 1, "not checked": 0}
