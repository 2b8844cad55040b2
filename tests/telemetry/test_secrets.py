"""No command prints a secret of the settings, whatever error occurs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relay.cli import COMMANDS, application

PLANTED = "pl4nted-s3cret"
UNREACHABLE = "http://127.0.0.1:1"

KEYS = {
    "RELAY_INNGEST_EVENT_KEY": f"{PLANTED}-event",
    "RELAY_INNGEST_SIGNING_KEY": f"signkey-prod-{PLANTED}",
    "RELAY_INNGEST_URL": UNREACHABLE,
    "RELAY_QUEUE_URL": f"{UNREACHABLE}/000000000000/orders",
    "RELAY_DLQ_URL": f"{UNREACHABLE}/000000000000/orders-dlq",
    "RELAY_LEDGER_TABLE": "ledger",
    "RELAY_LOG_LEVEL": "debug",
    "AWS_ACCESS_KEY_ID": "any",
    "RELAY_GATEWAY_KEYS": f"web={PLANTED}-gateway",
    "AWS_SECRET_ACCESS_KEY": f"{PLANTED}-aws",
    "AWS_SESSION_TOKEN": f"{PLANTED}-session",
    "AWS_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": UNREACHABLE,
}
MISPLACED = {
    **KEYS,
    "RELAY_INNGEST_URL": f"https://user:{PLANTED}@inn.gs/e/{PLANTED}?key={PLANTED}",
    "RELAY_INNGEST_EVENT_KEY_SECRET": PLANTED,
    "RELAY_HOLD": PLANTED,
    "RELAY_EMF_TARGET": f"tcp://user:{PLANTED}@host:1",
    "RELAY_LOG_MESSAGES": PLANTED,
    "RELAY_METRICS": PLANTED,
    "RELAY_UNKNOWN": PLANTED,
}
ONE_SHOT = (
    ("config",),
    ("config", "--json"),
    ("send", "-"),
    ("send", "-", "--no-check"),
    ("dlq", "stats"),
    ("doctor",),
    ("trace", "order-123"),
    ("status",),
    ("pause", "--reason", "moving"),
    ("resume",),
    ("health",),
    ("audit",),
)
LONG_RUNNING = ("serve", "poll", "gateway", "console")
DEV = ("dev", *(f"--{one}-port=0" for one in ("sqs", "inngest", "relay", "gateway", "console")))
DEMO = ("demo", "--messages", "100")
"""It has its own keys and ignores others. It ends at once if a setting is invalid."""


def environment(settings: dict[str, str], tmp_path: Path) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RELAY_", "AWS_"))}
    files = {"RELAY_LOG_FILE": str(tmp_path / "audit.log")}
    return inherited | files | settings


def started(settings: dict[str, str], tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "relay", *arguments],
        env=environment(settings, tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
    )


def test_every_command_is_tried() -> None:
    assert {command for command, *_ in ONE_SHOT} | {*LONG_RUNNING, DEV[0], DEMO[0]} == set(COMMANDS)


CASES = [
    *(pytest.param(words, KEYS, id=f"{' '.join(words)}-right") for words in ONE_SHOT),
    *(
        pytest.param(words, MISPLACED, id=f"{' '.join(words)}-misplaced")
        for words in (*ONE_SHOT, DEMO, DEV)
    ),
]


@pytest.mark.parametrize(("arguments", "settings"), CASES)
def test_no_command_prints_a_secret(
    arguments: tuple[str, ...],
    settings: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith(("RELAY_", "AWS_"))]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    command = application(arguments)
    ended = CliRunner().invoke(command, arguments, input=f'{{"name": "{PLANTED}"')
    raised = "".join(traceback.format_exception(ended.exception)) if ended.exception else ""
    assert ended.output
    assert PLANTED not in ended.output + raised
    assert ended.exception is None or isinstance(ended.exception, SystemExit)


@pytest.mark.parametrize(
    ("command", "settings", "until"),
    [
        (("serve",), MISPLACED, "halted"),
        (("poll",), KEYS, "backing off"),
        (("gateway",), KEYS, "cannot be opened"),
        (("console", "--port", "0"), KEYS, "The console is at"),
        (DEV, KEYS, "See it arrive"),
    ],
    ids=["serve", "poll", "gateway", "console", "dev"],
)
def test_no_long_running_command_prints_a_secret(
    command: tuple[str, ...], settings: dict[str, str], until: str, tmp_path: Path
) -> None:
    process = started({**settings, "PORT": _free_port()}, tmp_path, *command)
    assert process.stdout is not None
    output = ""
    while until not in output:
        line = process.stdout.readline()
        assert line, output
        output += line
    process.send_signal(signal.SIGTERM)
    output += process.communicate(timeout=60)[0]
    audit = tmp_path / "audit.log"
    assert PLANTED not in output + (audit.read_text() if audit.exists() else "")


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])
