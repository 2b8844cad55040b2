"""Inngest: `POST {base}/e/{event key}`, an array of events a request, never a second try by itself.

The key is in the URL, so it is kept from everything that prints one: the client logs nothing and
its errors hold nothing that was sent, and whatever a server echoes is made safe.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

from relay.destinations.http_clients import lean_client
from relay.destinations.http_errors import broken
from relay.destinations.inngest.answers import KEY, URL, Answer, read
from relay.destinations.redaction import Redaction
from relay.http import IncompleteResponse, NotConnected
from relay.model.destination import Limits, Unavailable
from relay.model.event import Event
from relay.model.outcome import Outcome
from relay.model.trace_context import traceparent_headers

HEADER = "x-inngest-event-id-seed"

IN_FLIGHT = 8
"""Requests under way at once, for want of batches; half of the client's connections."""

_ENTROPY = 10


def seed_of(event: Event) -> str:
    """The header's value: `<milliseconds>,<base64 of ten bytes>`, from time, name and id.

    The time is the event's own, which is the same at each delivery of a message and in our dead
    letter of it. Without any it is the first millisecond: the server ignores a seed with zero.
    """
    named = json.dumps([event.name, event.id]).encode()
    entropy = base64.b64encode(hashlib.sha256(named).digest()[:_ENTROPY]).decode()
    return f"{event.ts or 1},{entropy}"


ANSWER_LIMIT = 65_536
"""Bytes of an answer, and `ID_SIZE` more for each event: room for any the API gives."""
ID_SIZE = 64


class Inngest:
    """The event API of one server; an async context manager that owns its connections.

    Args:
        url: the base URL, without `/e/` and the key.
        key: the event key as it is now, asked for with each request; may raise `Unavailable`.
        env: name of a branch environment of the Cloud, None for the key's own.
        limits: what one request may hold.
        timeout: seconds for one request from its start to the end of its answer.
        seed: give each event the same internal id at each delivery; it then goes alone.
        clock: the time of day, for dates in `Retry-After`.
    """

    def __init__(
        self,
        url: str,
        key: Callable[[], Awaitable[str]],
        *,
        env: str | None = None,
        limits: Limits | None = None,
        timeout: float = 30.0,
        seed: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        base = url.rstrip("/")
        parts = urlsplit(base)
        self._path = parts.path
        self._host = parts.netloc.rpartition("@")[2]
        self._key = key
        self._seed = seed
        self._limits = limits or Limits()
        if seed:
            self._limits = replace(self._limits, max_events=1, in_flight=IN_FLIGHT)
        self._timeout = timeout
        self._clock = clock
        self._redaction = Redaction()
        environment = {} if env is None else {"x-inngest-env": env}
        typed = {"content-type": "application/json", **environment}
        self._client = lean_client(base, timeout, typed)

    def __repr__(self) -> str:
        return f"<Inngest at {self._host}>"

    async def __aenter__(self) -> Self:
        self._redaction.__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()
        self._redaction.__exit__(kind, error, trace)

    @property
    def limits(self) -> Limits:
        """What `send` takes at once."""
        return self._limits

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """One request with all events. `Delivered.reference` is the server's internal id.

        Raises:
            Unavailable: no proof that the server took them, see `inngest_answer`.
            Refused: it points at one of several, or finds them too large together.
        """
        key = (await self._key()).strip()
        if not key:
            raise Unavailable("there is no event key", setting=KEY, proven=True, not_accepted=True)
        self._redaction.register_secret(key)
        body = b"[" + b",".join(event.wire for event in events) + b"]"
        seed = {HEADER: seed_of(events[0])} if self._seed and len(events) == 1 else {}
        answer = await self._post(key, body, seed, ANSWER_LIMIT + ID_SIZE * len(events))
        return read(answer, len(events), self._clock())

    async def _post(self, key: str, body: bytes, seed: Mapping[str, str], limit: int) -> Answer:
        target = f"{self._path}/e/{quote(key, safe='')}"
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._client.post(
                    target, body, {**traceparent_headers(), **seed}, limit=limit
                )
        except TimeoutError:
            raise Unavailable(f"{self._host} gave no answer in {self._timeout:g} s") from None
        except (NotConnected, IncompleteResponse) as error:
            raise broken(error, self._host, URL) from None
        text = found.body.decode(errors="replace")
        return Answer(found.status, self._redaction.hide(text), found.headers)
