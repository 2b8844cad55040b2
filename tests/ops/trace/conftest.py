"""One event, with the records of each source as the relay and the servers write them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from relay.app.trace import TraceOptions, trace_event
from relay.local.inngest import Function, InngestServer
from relay.local.sqs import SqsServer
from relay.model.event import Event
from relay.model.facts import Handled
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from relay.ops.trace.timeline import Trace
from relay.settings.loading import load
from relay.telemetry.attempts import Attempts
from relay.telemetry.log_format import JsonFormat
from relay.telemetry.message_line import MessageLines, format_timestamp
from tests.ops.doctor.conftest import aws, models  # noqa: F401 - fixtures of the same world

NOW = 1_780_000_000.0
SIGNING_KEY = "00ff00ff00ff00ff"
MESSAGE = Message(
    body=b'{"name":"shop/paid","id":"order-1"}',
    message_id="11111111-aaaa-bbbb-cccc-000000000001",
    queue="events",
    receive_count=2,
    sent_at=NOW - 30.0,
)
EVENT = Event("order-1", "shop/paid", message_id=MESSAGE.message_id)
RETRY, REJECT = Retry("the destination is down"), Reject("refused_by_destination", "no such thing")


def outcome_line(
    message: Message, outcome: Outcome, *results: tuple[Event, Outcome], at: float
) -> str:
    """The log line about the outcome of a message."""
    fact = Handled(message=message, outcome=outcome, at=at, seconds=1.5, results=results)
    lines = MessageLines("relay", Attempts()).lines_of(fact, format_timestamp(at))
    return JsonFormat("relay").messages(lines, at).decode()


def log_line(message: Message, text: str) -> str:
    """A log line about a message other than its outcome."""
    record = logging.makeLogRecord({"msg": text, "levelname": "WARNING", "levelno": 30})
    record.created = NOW - 20.0
    record.message_id = message.message_id
    return JsonFormat("relay").record(record)


def delivered(reference: str) -> str:
    """The outcome line of the delivered message."""
    outcome = Delivered(reference)
    return outcome_line(MESSAGE, outcome, (EVENT, outcome), at=NOW)


def retried() -> str:
    """The outcome line of the attempt before."""
    return outcome_line(replace(MESSAGE, receive_count=1), RETRY, (EVENT, RETRY), at=NOW - 25.0)


@pytest.fixture
async def inngest() -> AsyncIterator[InngestServer]:
    async with InngestServer(
        functions=[Function(name="send-receipt", on="shop/*")],
        mode="start",
        event_keys=["key"],
        signing_key=SIGNING_KEY,
    ) as server:
        yield server


@pytest.fixture
def publish(inngest: InngestServer) -> Callable[..., Any]:
    """Sends an event as the relay does; returns the server's id of it."""

    async def send(**event: Any) -> str:
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            answer = await client.post(f"{inngest.url}/e/key", json=event)
        return str(answer.json()["ids"][0])

    return send


@pytest.fixture
async def sqs(
    aws: Callable[[str], Any],  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[SqsServer]:
    async with SqsServer() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", server.url)
        server.account.create("dead", {"MessageRetentionPeriod": "1209600"}, {})
        yield server


@pytest.fixture
def settings(inngest: InngestServer) -> dict[str, str]:
    return {
        "RELAY_INNGEST_URL": inngest.url,
        "RELAY_INNGEST_SIGNING_KEY": SIGNING_KEY,
    }


@pytest.fixture
def log(tmp_path: Path) -> Callable[..., Path]:
    """Writes lines to a log file, between unrelated ones."""

    def write(*lines: str) -> Path:
        other = Message(body=b"", message_id="another", queue="events", sent_at=NOW)
        noise = outcome_line(other, REJECT, at=NOW)
        path = tmp_path / "audit.log"
        path.write_text("\n".join([noise, "no JSON, order-1", *lines, "{broken order-1", noise]))
        return path

    return write


async def trace(ident: str, settings: dict[str, str], **options: Any) -> Trace:
    loaded = load(settings)
    assert not loaded.errors
    return await trace_event(ident, loaded.settings, TraceOptions(**options))


def descriptions(found: Trace, source: str | None = None) -> list[str]:
    return [entry.what for entry in found.entries if source in (None, entry.source)]
