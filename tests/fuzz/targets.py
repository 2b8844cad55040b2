"""The fuzz targets: each passes one input to a parser of data that the relay did not write.

A target raises nothing for any input. What a parser documents as its refusal is caught here; any
other exception, a hang or too much memory is a finding.
"""

from __future__ import annotations

import asyncio
import json
import math
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TypeAlias

from starlette.applications import Starlette

from relay.aws.errors import AwsError
from relay.aws.references import arn_of, parse_reference
from relay.destinations.http_errors import retry_after
from relay.dlq.dead_letter import read_dead_letter
from relay.dlq.records import write_record
from relay.dlq.snapshot import Head, Snapshot, Unreadable, head_fields
from relay.envelope import KINDS, Decoded, Rules, decode
from relay.gateway.webhooks.events import event_of
from relay.gateway.webhooks.presets import PRESETS
from relay.gateway.webhooks.request import WebhookRequest
from relay.gateway.webhooks.verification import Unverified, verify
from relay.http.connection import Connection, IncompleteResponse
from relay.http.server import health_routes, serving
from relay.model.encoded_body import decode_body
from relay.model.message import Attribute, Message, PeriodicTask
from relay.model.origin import ATTRIBUTE, UnreadableOrigin, origin_or_substitute, unpack
from relay.model.outcome import Reject
from relay.model.trace_context import from_x_ray, valid_traceparent, with_traceparent
from relay.settings.loading import load
from relay.sources.sqsd_request import NotFromSqsd, message_of
from tests.fuzz import answers, audit, gateway
from tests.fuzz.input import Input
from tests.fuzz.loopback import LOOP

Target: TypeAlias = Callable[[bytes], None]

TARGETS: dict[str, Target] = answers.TARGETS | audit.TARGETS | gateway.TARGETS

MAX_EVENT_BYTES = 4_096
"""Small, so that the fuzzer reaches the limit."""


def target(function: Target) -> Target:
    """Register the function under its name."""
    TARGETS[function.__name__] = function
    return function


@target
def envelope(data: bytes) -> None:
    """A message's body and attributes, in each envelope."""
    given = Input(data)
    kind = KINDS[given.number(len(KINDS))]
    body, firing, attributes = given.raw(), given.text(), given.pairs()
    message = Message(
        body=body,
        message_id="6b2c",
        queue="orders",
        attributes={name: Attribute("String", value) for name, value in attributes.items()},
        task=PeriodicTask(firing, "2026-01-01T00:00:00Z") if firing else None,
    )
    rules = Rules(
        envelope=kind,
        id_attribute="key",
        id_path="data.id || detail.id",
        max_events=20,
        max_event_bytes=MAX_EVENT_BYTES,
        task_prefix="task/",
        trace_in_data=True,
    )
    _check(decode(message, rules))
    read_dead_letter(message, rules, "orders")


def _check(found: Decoded | Reject) -> None:
    """Assert what every decoded message guarantees."""
    if isinstance(found, Reject):
        assert found.code
        assert found.reason
        return
    positions = [event.index for event in found.events] + [index for index, _ in found.rejects]
    assert len(positions) == len(set(positions))
    assert all(0 <= position < found.total for position in positions)
    for event in found.events:
        assert event.id
        wire = json.loads(event.wire)
        assert wire["name"] == event.name
        assert len(event.wire) <= MAX_EVENT_BYTES


@target
def origin(data: bytes) -> None:
    """The packed attribute of a dead letter, which any producer can write."""
    with suppress(UnreadableOrigin):
        found = unpack(data)
        assert unpack(found.pack()) == found
    message = Message(
        body=b"{}", message_id="m", queue="q", attributes={ATTRIBUTE: Attribute("Binary", data)}
    )
    substitute = origin_or_substitute(message)
    assert substitute is not None
    substitute.pack()


@target
def encoded_body(data: bytes) -> None:
    """A body that claims to be encoded."""
    given = Input(data)
    encoding = ("base64", "gzip+base64", "empty", "other")[given.number(4)]
    with suppress(ValueError):
        decode_body(given.raw(), encoding)


@target
def push_request(data: bytes) -> None:
    """The request of the worker daemon, whose headers contain the message's attributes."""
    given = Input(data)
    body, path = given.raw(), given.text()
    headers = [
        (name.encode(errors="surrogateescape"), value.encode(errors="surrogateescape"))
        for name, value in given.pairs().items()
    ]
    with suppress(NotFromSqsd):
        message = message_of(headers, body, path, frozenset({"/nightly"}))
        assert message.message_id
        assert message.receive_count >= 0
        for at in (message.sent_at, message.first_received_at):
            assert at is None or math.isfinite(at)


@target
def settings(data: bytes) -> None:
    """Environment variables and a settings file."""
    given = Input(data)
    text = given.raw()
    environ = {f"RELAY_{name}": value for name, value in given.pairs().items()}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "relay.env")
        path.write_bytes(text)
        found = load(environ, path)
    assert all(isinstance(problem, str) for problem in found.problems)


@target
def queue_reference(data: bytes) -> None:
    """A queue's URL, ARN or name."""
    with suppress(AwsError):
        found = parse_reference(data.decode(errors="replace"))
        if found.url is not None:
            arn_of(found.url, found.region or "eu-west-1")


@target
def retry_after_header(data: bytes) -> None:
    """The header `Retry-After`, which may hold seconds or a date."""
    found = retry_after(data.decode("latin-1"), 1_700_000_000.0)
    assert found is None or 0 <= found < math.inf


@target
def trace_context(data: bytes) -> None:
    """A producer's trace header, and its place in an event's data."""
    given = Input(data)
    text = given.text()
    trace = valid_traceparent(text) or from_x_ray(text)
    with_traceparent(given.raw() or None, trace)


@target
def http_response(data: bytes) -> None:
    """The bytes of an HTTP response, in two parts."""
    LOOP.run_until_complete(_http_response(data))


async def _http_response(data: bytes) -> None:
    given = Input(data)
    first, second = given.raw(), given.raw()
    connection = Connection()
    connection.connection_made(_Transport())
    exchange = asyncio.ensure_future(connection.exchange([], 1_000))
    await asyncio.sleep(0)
    for part in (first, second):
        if connection.open:
            connection.data_received(part)
    connection.connection_lost(None)
    with suppress(IncompleteResponse):
        found = await exchange
        assert 200 <= found.status <= 999
        assert len(found.body) <= 1_000 + len(data)


@target
def http_request(data: bytes) -> None:
    """The bytes of HTTP requests, in two parts, to the listening port."""
    LOOP.run_until_complete(_http_request(data))


async def _http_request(data: bytes) -> None:
    given = Input(data)
    port = await _listening()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(ConnectionError):
        for part in (given.raw(), given.raw()):
            writer.write(part)
            await writer.drain()
        writer.write_eof()
        await reader.read()
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()


_SERVERS: list[tuple[AsyncExitStack, int]] = []


async def _listening() -> int:
    """The port of the one server for all inputs: starting one takes longer than an input."""
    if not _SERVERS:
        stack = AsyncExitStack()
        app = Starlette(routes=health_routes(lambda: (True, {})))
        _SERVERS.append((stack, await stack.enter_async_context(serving(app))))
    return _SERVERS[0][1]


class _Transport(asyncio.Transport):
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nothing listens."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered."""

    def abort(self) -> None:
        """Nothing is open."""

    def is_closing(self) -> bool:
        return False


@target
def webhook(data: bytes) -> None:
    """A webhook of each known sender: its signature is checked, and it becomes an event."""
    given = Input(data)
    name = list(PRESETS)[given.number(len(PRESETS))]
    source, body, url = PRESETS[name], given.raw(), given.text()
    # A server reads headers as Latin-1.
    headers = {
        name.lower(): value.encode(errors="surrogateescape").decode("latin-1")
        for name, value in given.pairs().items()
    }
    request = WebhookRequest(headers, body, url, source.form_json)
    with suppress(Unverified):
        verify(request, source.signature, [b"key"], 1_700_000_000.0)
    event = event_of(name, source, request, 1_700_000_000.0)
    decoded = decode(Message(body=event, message_id="m", queue="orders"), Rules())
    assert isinstance(decoded, Decoded), decoded


HEAD = write_record(
    head_fields(
        Head(
            queue="https://sqs.eu-west-1.amazonaws.com/1/dead",
            arn="arn:aws:sqs:eu-west-1:1:dead",
            taken_at=1_700_000_000.0,
            retention=345_600.0,
            fifo=False,
        )
    )
)


@target
def snapshot(data: bytes) -> None:
    """A snapshot of a dead-letter queue: as a file, and as the fields of its lines."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "dead.jsonl")
        for content in (data, _lines(data)):
            path.write_bytes(content)
            with suppress(Unreadable):
                for message in Snapshot(path):
                    read_dead_letter(message, Rules(), "orders")


def _lines(data: bytes) -> bytes:
    """Lines with valid checksums, from JSON objects: else no input would pass the checksum."""
    lines = [HEAD]
    for line in data.splitlines():
        with suppress(ValueError, RecursionError):
            fields = json.loads(line)
            if isinstance(fields, dict):
                lines.append(write_record(fields))
    return b"\n".join(lines) + b"\n"
