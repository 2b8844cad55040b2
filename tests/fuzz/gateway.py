"""The fuzz target of the gateway: a whole request, without a socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from starlette.types import ASGIApp

from relay.envelope import Decoded, Rules, decode
from relay.gateway.app import Gateway
from relay.gateway.keys import FixedKeys, Key
from relay.model.event import Event
from relay.model.message import Message
from relay.publishing.events import EventLimits
from relay.publishing.packing import Packer
from tests.fuzz.input import Input
from tests.fuzz.loopback import LOOP

MAX_EVENT_BYTES = 4_096
"""Small, so that the fuzzer reaches the limit."""


def gateway_request(data: bytes) -> None:
    """A request to the gateway: its headers, with the seed of its ids, and its body."""
    LOOP.run_until_complete(_gateway_request(data))


async def _gateway_request(data: bytes) -> None:
    given = Input(data)
    body, key, parts = given.raw(), given.text(), given.number(5) + 1
    headers = [
        (name.lower().encode(errors="surrogateescape"), value.encode(errors="surrogateescape"))
        for name, value in given.pairs().items()
    ]
    published: list[Event] = []
    gateway = Gateway(
        _Published(published), FixedKeys([("k", Key(name="fuzz"))]), lambda: (True, {})
    )
    gateway.limits = EventLimits(max_events=4, max_event_bytes=MAX_EVENT_BYTES)
    status, text = await _answer(gateway.asgi(), f"/e/{'k' if key else key}", headers, body, parts)
    fields = json.loads(text)
    assert fields["status"] == status
    if status == HTTPStatus.OK:
        assert fields["ids"] == [event.id for event in published]
        assert all(fields["ids"])
        _check_packed(published)
    else:
        # 503 would say that the same request may succeed later.
        assert status in (400, 401, 404, 405, 413, 415), text
        assert fields["error"]
        assert not published


def _check_packed(events: list[Event]) -> None:
    """The relay reads in the messages what was published."""
    read: list[tuple[str, str]] = []
    for _, message in Packer().pack(events):
        attributes = message.attributes
        found = decode(
            Message(
                body=message.body.encode(), message_id="m", queue="orders", attributes=attributes
            ),
            Rules(),
        )
        assert isinstance(found, Decoded), found
        assert not found.rejects, found
        read += [(event.id, event.name) for event in found.events]
    assert read == [(event.id, event.name) for event in events]


class _Published:
    def __init__(self, events: list[Event]) -> None:
        self._events = events

    async def publish(self, events: Sequence[Event]) -> None:
        self._events += events


async def _answer(
    app: ASGIApp, path: str, headers: list[tuple[bytes, bytes]], body: bytes, parts: int
) -> tuple[int, bytes]:
    """The answer to a request whose body arrives in so many parts."""
    size = len(body) // parts + 1
    pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    messages = [
        {"type": "http.request", "body": piece, "more_body": n < len(pieces)}
        for n, piece in enumerate(pieces, 1)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": headers,
        "query_string": b"",
    }
    await app(scope, receive, send)
    text = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], text


TARGETS: dict[str, Callable[[bytes], None]] = {"gateway_request": gateway_request}
