"""Which of a shell's variables `relay dev` gives to its relay."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from relay.cli import application
from relay.cli.dev import _settings


def test_a_shell_that_looks_after_a_real_queue_does_not_have_it_polled() -> None:
    shell = {
        "RELAY_QUEUE_URL": "shop-events",
        "RELAY_DLQ_URL": "shop-events-dlq",
        "RELAY_INNGEST_URL": "https://inn.gs",
        "RELAY_ENVELOPE": "sns",
        "HOME": "/root",
    }
    given = _settings(shell, terminal=False, listens=True)
    assert given.pop("RELAY_ENVELOPE") == "sns"
    assert given == {"RELAY_METRICS": "prometheus", "RELAY_LOG_FORMAT": "json"}


def test_people_get_lines_for_people_unless_they_want_others() -> None:
    assert _settings({}, terminal=True, listens=True)["RELAY_LOG_FORMAT"] == "console"
    given = _settings({"RELAY_LOG_FORMAT": "json"}, terminal=True, listens=True)
    assert given["RELAY_LOG_FORMAT"] == "json"


def test_a_poller_that_listens_nowhere_counts_for_nobody() -> None:
    assert "RELAY_METRICS" not in _settings({}, terminal=False, listens=False)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--sqs-port 99999", "--sqs-port"),
        ("--relay-port -1", "--relay-port"),
        ("--inngest-url localhost:8288", "--inngest-url must be an address such as"),
        ("--inngest-url http://localhost:8288/e/s3cr3t", "the path that starts with /e/"),
        ("--function x", "NAME=EVENT"),
        ("--fifo", "--pull"),
    ],
)
def test_wrong_usage_is_told_before_anything_starts(words: str, told: str) -> None:
    arguments = ["dev", *words.split()]
    ended = CliRunner().invoke(application(arguments), arguments, prog_name="relay")
    assert ended.exit_code == 2
    assert told in ended.stderr
    assert "s3cr3t" not in ended.stderr
