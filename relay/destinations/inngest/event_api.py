"""Sends events to Inngest: `POST {base}/e/{event key}` with an array of events, without retries.

The event key is in the URL, so it must not be printed: the client logs nothing, its errors contain
nothing that was sent, and the key is redacted in what the server echoes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

from relay.destinations.http_clients import post_client
from relay.destinations.http_errors import request_error
from relay.destinations.inngest.answers import KEY, URL, Answer, interpret
from relay.destinations.redaction import ClientLogFilter
from relay.http import IncompleteResponse, NotConnected
from relay.model.destination import Limits, Unavailable
from relay.model.event import ENVIRONMENT, Event, Json, json_array
from relay.model.outcome import Outcome
from relay.model.trace_context import traceparent_headers
from relay.output.redaction import Redactor

SEED_HEADER = "x-inngest-event-id-seed"

IN_FLIGHT = 8
"""Concurrent requests where events cannot be batched: half of the client's connections."""

_ENTROPY_BYTES = 10

ANSWER_LIMIT = 65_536
"""Bytes of an answer that are read, plus `ID_SIZE` for each event: more than the API returns."""
ID_SIZE = 64


def event_id_seed(event: Event) -> str:
    """The seed header's value: `<milliseconds>,<base64 of ten bytes>`, from time, name and id.

    The time is the event's own, which is the same at each delivery of a message and in its dead
    letter. Without one it is 1 ms, because the server ignores a seed with 0.
    """
    identity = json.dumps([event.name, event.id]).encode()
    entropy = base64.b64encode(hashlib.sha256(identity).digest()[:_ENTROPY_BYTES]).decode()
    return f"{event.ts or 1},{entropy}"


class StaleConnection(Unavailable):
    """The request was lost with a kept connection: the server closed it as idle, or restarts."""


class Inngest:
    """The event API of one server; an async context manager that owns its connections.

    Args:
        url: the base URL, without `/e/` and the key.
        key: returns the current event key, called for each request; may raise `Unavailable`.
        env: the name of a branch environment of the Cloud for events without their own, None for
            the key's own.
        limits: what one request may hold.
        timeout: seconds for one request from its start to the end of its answer.
        seed: give an event the same internal id at each delivery; it is then sent alone.
        repeatable: whether a request that a stale connection lost is sent again at once. False
            where its events must be looked for first: a server that restarts forgets their ids.
        redactor: knows the process's secrets; None if there are no others.
        tls: the TLS context; None for the default.
        clock: the time of day, for dates in `Retry-After`.
    """

    def __init__(  # noqa: PLR0913 - what one destination consists of
        self,
        url: str,
        key: Callable[[], Awaitable[str]],
        *,
        env: str | None = None,
        limits: Limits | None = None,
        timeout: float = 30.0,
        seed: bool = False,
        repeatable: bool = True,
        redactor: Redactor | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        base = url.rstrip("/")
        parts = urlsplit(base)
        self._path = parts.path
        self._host = parts.netloc.rpartition("@")[2]
        self._key = key
        self._seed = seed
        self._repeatable = repeatable
        self._limits = limits or Limits()
        if seed:
            self._limits = replace(self._limits, max_events=1, in_flight=IN_FLIGHT)
        self._timeout = timeout
        self._clock = clock
        self._redactor = redactor or Redactor()
        self._log_filter = ClientLogFilter(self._redactor)
        self._env = env
        client_headers = {"content-type": "application/json"}
        self._client = post_client(base, timeout, client_headers, tls)

    def __repr__(self) -> str:
        return f"<Inngest at {self._host}>"

    async def __aenter__(self) -> Self:
        self._log_filter.__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()
        self._log_filter.__exit__(kind, error, trace)

    @property
    def limits(self) -> Limits:
        """What one request may hold, and the most concurrent requests."""
        return self._limits

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Send one request with all events. `Delivered.reference` is the server's internal id.

        The events have one environment: the forwarder batches no others together.

        Raises:
            Unavailable: there is no proof that the server accepted them; see `answers`.
                `StaleConnection` if it was lost that way and not sent again.
            BatchRefused: the server points at one of several events, or they are too large
                together.
        """
        key = (await self._key()).strip()
        if not key:
            raise Unavailable("there is no event key", setting=KEY, proven=True, not_accepted=True)
        self._redactor.register_secret(key)
        headers = self._headers(events)
        answer = await self._post(
            key, json_array(events), headers, ANSWER_LIMIT + ID_SIZE * len(events)
        )
        try:
            return interpret(answer, len(events), self._clock())
        except Unavailable as error:
            raise self._attributed(error, answer.status, events[0].env) from None

    def _attributed(self, error: Unavailable, status: int, env: str | None) -> Unavailable:
        """The failure, with the environment that the events ask for if that may be its cause.

        Any refusal may be: Inngest Cloud refuses an environment that does not exist.
        """
        other = env if env != self._env else None
        client_error = status // 100 == 4 and status != HTTPStatus.TOO_MANY_REQUESTS  # noqa: PLR2004
        if other is not None and client_error:
            error.environment, error.proven = other, False
        return error

    def _headers(self, events: Sequence[Event]) -> dict[str, str]:
        env = events[0].env or self._env
        headers = {} if env is None else {ENVIRONMENT: env}
        if self._seed and len(events) == 1:
            headers[SEED_HEADER] = event_id_seed(events[0])
        return headers

    async def _post(
        self, key: str, body: Sequence[Json], headers: Mapping[str, str], limit: int
    ) -> Answer:
        target = f"{self._path}/e/{quote(key, safe='')}"
        try:
            async with asyncio.timeout(self._timeout):
                # The server recognises the events by their ids.
                found = await self._client.post(
                    target,
                    body,
                    {**traceparent_headers(), **headers},
                    limit=limit,
                    repeatable=self._repeatable,
                )
        except TimeoutError:
            raise Unavailable(f"{self._host} gave no answer in {self._timeout:g} s") from None
        except (NotConnected, IncompleteResponse) as error:
            failed = request_error(error, self._host, URL)
            if isinstance(error, IncompleteResponse) and error.stale:
                failed = StaleConnection(failed.reason, disconnected=True)
            raise failed from None
        text = found.body.decode(errors="replace")
        return Answer(found.status, self._redactor.redact_known(text), found.headers)
