"""No command passes on a control character of a producer, a server, a file or a setting."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import pty
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from relay.cli import COMMANDS
from relay.dlq.snapshot import Head, SnapshotWriter
from relay.local.demo.display import Display
from relay.local.demo.reconciliation import Reconciliation
from relay.local.inngest import InngestServer
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE
from relay.output.console import open_console
from tests.cli.conftest import CommandResult, LocalSqs, Relay
from tests.destinations.wire import http, listening
from tests.hostile import HOSTILE, IN_XML, assert_harmless, assert_shown

ARGUMENT = HOSTILE.replace("\0", "").replace("\ud800", "")
KEY = {"RELAY_INNGEST_EVENT_KEY": "a-long-event-key"}
STYLE = re.compile(r"\x1b\[[0-9;]*m")
ELSEWHERE = {"console", "dlq", "dev", "demo", "serve", "poll", "gateway"}
"""Commands whose texts are tested elsewhere: `tests/dlq`, the log's format, and below."""


def check(result: CommandResult) -> None:
    assert_harmless(result.out)
    assert_harmless(result.err)


def log_file(directory: Path) -> Path:
    """A log whose lines any text could have come into."""
    fields = {
        "timestamp": "2026-11-30T10:00:00.000+00:00",
        "event_id": "order-1",
        **dict.fromkeys(("event_name", "message_id", "queue", "reason", "code", "batch"), HOSTILE),
        "reference": HOSTILE,
        "notices": [HOSTILE],
    }
    lines = [
        {**fields, "outcome": outcome, "message": message, "attempts": 1, "level": "INFO"}
        for outcome, message in (("delivered", "message delivered"), ("rejected", HOSTILE))
    ]
    path = directory / "relay.log"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def snapshot(directory: Path) -> Path:
    """A snapshot with one hostile dead letter."""
    path = directory / "now.jsonl"
    origin = {"version": 1, "id": "x", **dict.fromkeys(("source", "code", "reason"), HOSTILE)}
    message = Message(
        body=json.dumps({"name": HOSTILE, "id": HOSTILE, "data": {}}).encode(),
        message_id="m-1",
        queue="dead",
        attributes={ATTRIBUTE: Attribute("String", json.dumps(origin))},
    )
    head = Head(queue="dead", arn="arn:aws:sqs:a:1:dead", taken_at=1.0, retention=9e9, fifo=False)
    with SnapshotWriter(path, head) as writer:
        writer.add(message)
        writer.close(complete=True)
    return path


@contextlib.asynccontextmanager
async def hostile_relay() -> AsyncIterator[str]:
    """The URL of a server whose `/ready` has a hostile text in each field."""
    names = ("circuit", "reason", "setting", "last_error", "receiving")
    body = json.dumps({**dict.fromkeys(names, HOSTILE), "in_flight": 1, "halted": True})
    async with listening(http(503, body)) as wire:
        yield wire.url


def test_every_command_is_tried() -> None:
    tried = {"audit", "trace", "status", "doctor", "send", "config", "health", "pause", "resume"}
    assert tried | ELSEWHERE == set(COMMANDS)


@pytest.mark.parametrize("options", [(), ("--json",), ("--unheard",)])
async def test_audit(options: tuple[str, ...], relay: Relay) -> None:
    async with InngestServer(0, []) as server, httpx.AsyncClient(trust_env=False) as client:
        event = {"name": f"shop/{HOSTILE}", "id": HOSTILE, "data": {}}
        answer = await client.post(f"{server.url}/e/key", content=json.dumps(event))
        assert answer.status_code == 200, answer.text
        await server.settled()
        result = await relay("audit", *options, RELAY_INNGEST_URL=server.url, **KEY)
        assert "shop/" in result.out
        check(result)


async def test_health(relay: Relay) -> None:
    async with hostile_relay() as url:
        check(await relay("health", "--ready", PORT=url.rpartition(":")[2]))


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_pause_and_resume(
    options: tuple[str, ...], relay: Relay, local_sqs: LocalSqs
) -> None:
    async with hostile_relay() as url:
        for command in (("pause", "--reason", "moving"), ("resume",)):
            result = await relay(
                *command, "--queue", "plain", "--relay", url, "--wait", "0", *options
            )
            assert local_sqs.sqs.requests["ListQueueTags"]
            check(result)


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_trace(options: tuple[str, ...], relay: Relay, tmp_path: Path) -> None:
    log = str(log_file(tmp_path))
    result = await relay("trace", "order-1", "--log", log, *options, **KEY)
    assert_shown(result.out)
    check(result)
    check(await relay("trace", ARGUMENT, "--log", log, *options, **KEY))
    check(await relay("trace", "x", "--snapshot", str(snapshot(tmp_path)), *options, **KEY))


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_status(options: tuple[str, ...], relay: Relay) -> None:
    async with hostile_relay() as url:
        result = await relay("status", "--relay", url, *options, **KEY)
    assert_shown(result.out)
    check(result)


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_doctor(options: tuple[str, ...], relay: Relay, local_sqs: LocalSqs) -> None:
    refusal = json.dumps({"status": 401, "error": HOSTILE, "ids": [HOSTILE]})
    async with listening(http(401, refusal)) as wire:
        settings = {**KEY, "RELAY_INNGEST_URL": wire.url, "RELAY_QUEUE_URL": "plain"}
        check(await relay("doctor", *options, **settings, RELAY_SERVICE=ARGUMENT))


async def test_send(relay: Relay, local_sqs: LocalSqs, tmp_path: Path) -> None:
    bad = "\n".join((f'{{"name": "{ARGUMENT}', json.dumps({"name": HOSTILE}), json.dumps(HOSTILE)))
    check(await relay("send", "-", "--queue", "plain", stdin=bad))
    check(await relay("send", "-", "--queue", "plain", "--lines", stdin=IN_XML))
    check(await relay("send", str(tmp_path / ARGUMENT.replace("/", "")), "--queue", ARGUMENT))


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_config(options: tuple[str, ...], relay: Relay) -> None:
    for name in ("RELAY_SERVICE", "RELAY_HOLD", "RELAY_INNGEST_URL", "RELAY_NO_SUCH"):
        check(await relay("config", *options, **{**KEY, name: ARGUMENT}))


@pytest.mark.parametrize("words", [(ARGUMENT,), (f"--{ARGUMENT}",), ("dlq", ARGUMENT)])
async def test_wrong_usage(words: tuple[str, ...], relay: Relay) -> None:
    result = await relay(*words)
    assert result.code == 2
    assert_shown(result.err)


def test_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    display = Display(open_console(), lambda: 0.0)
    found = Reconciliation(
        published=1,
        kinds={HOSTILE: 1},
        codes={HOSTILE: 1},
        unique=1,
        ran=1,
        dead_lettered=1,
        lost=0,
        ran_twice=0,
        in_queue=0,
        unexplained=(HOSTILE,),
        out_of_order=None,
    )
    display.say(HOSTILE)
    display.result(found)
    assert_shown(out.getvalue())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "utf-8:surrogateescape"])
@pytest.mark.parametrize("command", ["list", "stats", "show m-1"])
async def test_no_encoding_of_the_output_ends_a_command(
    encoding: str, command: str, process: Relay, tmp_path: Path
) -> None:
    name, *ident = command.split()
    words = ("dlq", name, *ident, str(snapshot(tmp_path)))
    result = await process(*words, PYTHONIOENCODING=encoding, LC_ALL="C", PYTHONUTF8="0", **KEY)
    assert (result.code, result.err) == (0, "")
    assert_shown(result.out)


async def test_on_a_terminal_only_our_own_styles_come_out(
    environ: dict[str, str], tmp_path: Path
) -> None:
    for words in (
        ("trace", "order-1", "--log", log_file(tmp_path)),
        ("dlq", "list", snapshot(tmp_path)),
    ):
        main, terminal = pty.openpty()
        command = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay", *map(str, words)),
            stdout=terminal,
            stderr=terminal,
            env={**environ, **KEY, "TERM": "xterm-256color"},
        )
        os.close(terminal)
        output = await asyncio.to_thread(_read_all, main)
        await command.wait()
        assert_shown(STYLE.sub("", output.replace("\r\n", "\n")))


def _read_all(descriptor: int) -> str:
    parts = []
    with open(descriptor, "rb", buffering=0) as stream, contextlib.suppress(OSError):
        while part := stream.read(65_536):  # Linux raises when the other end is closed
            parts.append(part)
    return b"".join(parts).decode()
