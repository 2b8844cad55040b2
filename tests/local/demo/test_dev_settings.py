"""Which environment variables `relay dev` passes on to its relay."""

from __future__ import annotations

import socket

import pytest
from typer.testing import CliRunner

from relay.cli import application
from relay.cli.dev import _settings


def test_the_settings_of_a_real_queue_are_not_passed_on() -> None:
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


def test_a_terminal_gets_readable_log_lines_unless_set_otherwise() -> None:
    assert _settings({}, terminal=True, listens=True)["RELAY_LOG_FORMAT"] == "console"
    given = _settings({"RELAY_LOG_FORMAT": "json"}, terminal=True, listens=True)
    assert given["RELAY_LOG_FORMAT"] == "json"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("--sqs-port 99999", "--sqs-port"),
        ("--relay-port -1", "--relay-port"),
        ("--inngest-url localhost:8288", "--inngest-url must be an address such as"),
        ("--inngest-url http://localhost:8288/e/s3cr3t", "the path that starts with /e/"),
        ("--function x", "NAME=EVENT"),
        ("--fifo", "--host poller or lambda"),
        ("--host sqs", "--host must be one of sqsd, poller, lambda"),
    ],
)
def test_wrong_usage_is_reported_before_anything_starts(options: str, error: str) -> None:
    arguments = ["dev", *options.split()]
    ended = CliRunner().invoke(application(arguments), arguments, prog_name="relay")
    assert ended.exit_code == 2
    assert error in ended.stderr
    assert "s3cr3t" not in ended.stderr


def test_each_port_that_is_taken_is_named_with_its_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = ["dev", "--sqs-port=0", f"--inngest-port={port}", f"--relay-port={port}"]
        ended = CliRunner().invoke(application(arguments), arguments, prog_name="relay")
    assert ended.exit_code == 1
    assert [line.split(" cannot")[0] for line in ended.stderr.splitlines()] == [
        f"relay: --relay-port {port}",
        f"relay: --inngest-port {port}",
    ]
    assert ended.stdout == ""


def test_two_options_cannot_have_the_same_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    arguments = ["dev", "--sqs-port=0", f"--inngest-port={port}", f"--relay-port={port}"]
    ended = CliRunner().invoke(application(arguments), arguments, prog_name="relay")
    assert ended.exit_code == 1
    assert ended.stderr.count("(given twice): choose another port") == 2


@pytest.mark.parametrize(
    ("variables", "error"),
    [
        ({"RELAY_HOLD": "long"}, "RELAY_HOLD must be"),
        ({"RELAY_DESTINATION": "webhook"}, "RELAY_WEBHOOK_URL is not set"),
    ],
)
def test_settings_with_which_the_relay_cannot_run_are_reported_before_anything_starts(
    variables: dict[str, str], error: str
) -> None:
    arguments = ["dev", "--sqs-port=0", "--inngest-port=0", "--relay-port=0"]
    ended = CliRunner().invoke(
        application(arguments), arguments, prog_name="relay", env=dict(variables)
    )
    assert ended.exit_code == 2
    assert ended.stderr.startswith(f"relay: {error}")
    assert ended.stdout == ""


def test_a_function_on_lambda_serves_no_metrics() -> None:
    assert _settings({}, terminal=False, listens=False)["RELAY_METRICS"] == "none"
