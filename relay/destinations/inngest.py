"""Inngest: `POST {base}/e/{event key}`, an array of events a request, never a second try by itself.

The key is in the URL, so it is kept from everything that prints one: the client is given a URL
without it and the true target as an extension, and whatever a server echoes is made safe.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import metadata
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

import httpx

from relay.destinations.broken import broken
from relay.destinations.inngest_answer import KEY, URL, Answer, read
from relay.destinations.redaction import HIDDEN, Redaction
from relay.message import Event, Limits, Outcome, Unavailable
from relay.traceparent import headers

CONNECT_TIMEOUT = 5.0
CONNECTIONS = 16

KEEP_ALIVE = 4.0
"""Seconds. Below the 5 after which common servers close an idle connection, lest we race them."""

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
        clock: Callable[[], float] = time.time,
    ) -> None:
        base = url.rstrip("/")
        parts = urlsplit(base)
        self._url = f"{base}/e/{HIDDEN}"
        self._path = parts.path
        self._host = parts.netloc.rpartition("@")[2]
        self._key = key
        self._limits = limits or Limits()
        self._timeout = timeout
        self._clock = clock
        self._redaction = Redaction()
        self._client = _client(timeout, {} if env is None else {"x-inngest-env": env})

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
            raise Unavailable("there is no event key", setting=KEY, proven=True, untaken=True)
        self._redaction.learn(key)
        body = b"[" + b",".join(event.wire for event in events) + b"]"
        answer = await self._post(key, body, ANSWER_LIMIT + ID_SIZE * len(events))
        return read(answer, len(events), self._clock())

    async def _post(self, key: str, body: bytes, limit: int) -> Answer:
        target = f"{self._path}/e/{quote(key, safe='')}".encode()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(target, body, limit)
        except TimeoutError:
            raise Unavailable(f"{self._host} gave no answer in {self._timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise broken(error, self._host, URL) from None

    async def _exchange(self, target: bytes, body: bytes, limit: int) -> Answer:
        request = self._client.build_request(
            "POST", self._url, content=body, headers=headers(), extensions={"target": target}
        )
        response = await self._client.send(request, stream=True)
        try:
            text = (await _start_of(response, limit)).decode(errors="replace")
        finally:
            await response.aclose()
        return Answer(response.status_code, self._redaction.hide(text), response.headers)


async def _start_of(response: httpx.Response, limit: int) -> bytes:
    """The body, cut where it is longer than any answer of the API: a web page is read no further.

    Raw, because no encoding was asked for: a small compressed body can hold gigabytes.
    """
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_raw(chunk_size=16_384):
        parts.append(part)
        size += len(part)
        if size > limit:
            break
    return b"".join(parts)


def _client(timeout: float, headers: Mapping[str, str]) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        headers={
            "accept": "application/json",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": f"sqs-relay/{_version()}",
            **headers,
        },
        # Connecting ends before the whole request does: cut off from outside in the middle of a TLS
        # handshake, the client leaves its socket to the garbage collector.
        timeout=httpx.Timeout(timeout, connect=min(CONNECT_TIMEOUT, timeout / 2)),
        limits=httpx.Limits(
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE,
        ),
        http2=False,
        follow_redirects=False,
        trust_env=False,
    )


def _version() -> str:
    try:
        return metadata.version("sqs-relay")
    except metadata.PackageNotFoundError:
        return "source"
