"""What an Inngest server has stored, read from `/v1/events`.

Measured on self-hosted servers: an event that is not there is a 200 with `status` 404 in the body,
a page holds 51 events at most whatever is asked for, newest first by internal id, and storing lags
the acknowledgement by up to several seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from relay.destinations.http_clients import http_client, start_of
from relay.destinations.http_errors import broken, retry_after
from relay.model.destination import Unavailable

CLOUD_API = "https://api.inngest.com"
"""Where the Cloud answers what was stored; `inn.gs` only takes events."""

SIGNING_KEY = "RELAY_INNGEST_SIGNING_KEY"
CONFIRM = "RELAY_CONFIRM"

PAGE = 51
PAGE_LIMIT = 8 * 1_048_576
ONE_LIMIT = 32 * 1_048_576
"""Bytes of an answer: events are told whole, and one of 3 MiB grows where it has to be escaped."""

FAR = 4_102_444_800.0
"""2100-01-01: an internal id that is no ULID may seem to hold any time."""

_T = TypeVar("_T")
_UNSERVED = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)


class Stored(msgspec.Struct, frozen=True):
    """A stored copy of an event; `id` is the producer's, `internal_id` the server's."""

    internal_id: str
    id: str = ""
    name: str = ""


class _Page(msgspec.Struct):
    data: list[Stored] | None = None
    status: int = 0


class _One(msgspec.Struct):
    status: int = 0


class TooLong(Exception):
    """A page has more bytes than are worth reading: ask for the events one by one."""


class ReadBack:
    """One server's stored events; an async context manager that owns its connections.

    Every `Unavailable` it raises leaves open what became of events that were sent.

    Args:
        url: the base URL.
        key: the signing key as it is now, None where the server wants none; may raise.
        cloud: whether the server is Inngest's own.
        env: name of a branch environment of the Cloud.
        timeout: seconds for one question and its whole answer.
        clock: the time of day, for dates in `Retry-After`.
    """

    def __init__(
        self,
        url: str,
        key: Callable[[], Awaitable[str | None]],
        *,
        cloud: bool = False,
        env: str | None = None,
        timeout: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = f"{CLOUD_API if cloud else url.rstrip('/')}/v1/events"
        self._host = urlsplit(self._url).netloc.rpartition("@")[2]
        self._key = key
        self._timeout = timeout
        self._clock = clock
        self._client = http_client(timeout, {} if env is None else {"x-inngest-env": env})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def one(self, internal_id: str) -> bool:
        """Whether the event of this internal id is stored.

        Raises:
            Unavailable: the server did not say.
        """
        body = await self._ask(f"{self._url}/{internal_id}", {}, ONE_LIMIT)
        answer = self._decoded(body, _One)
        if answer.status in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            return answer.status == HTTPStatus.OK
        raise Unavailable(f"{self._host} answers {answer.status} where an event is read back")

    async def page(
        self, after: float, *, below: str = "", name: str = "", limit: int = PAGE
    ) -> Sequence[Stored]:
        """The newest stored events, at most 51.

        Args:
            after: only those received since, seconds since the epoch by the server's clock.
            below: only those whose internal id is less.
            name: only those of this name.
            limit: how many, at most.

        Raises:
            Unavailable: the server did not say.
            TooLong: it says more than can be read.
        """
        since = datetime.fromtimestamp(min(max(after, 0.0), FAR), UTC).isoformat(
            timespec="milliseconds"
        )
        query = {"received_after": since.replace("+00:00", "Z"), "limit": str(limit)}
        optional = {"cursor": below, "name": name}
        query |= {field: value for field, value in optional.items() if value}
        body = await self._ask(self._url, query, PAGE_LIMIT)
        if len(body) > PAGE_LIMIT:
            raise TooLong
        answer = self._decoded(body, _Page)
        if answer.status != HTTPStatus.OK:
            raise Unavailable(f"{self._host} answers {answer.status} where events are read back")
        return answer.data or ()

    async def _ask(self, url: str, query: Mapping[str, str], limit: int) -> bytes:
        key = await self._key_now()
        signed = {"authorization": f"Bearer {key}"} if key else {}
        request = self._client.build_request("GET", url, params=query, headers=signed)
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.send(request, stream=True)
                try:
                    body = await start_of(response, limit)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise Unavailable(f"{self._host} gave no answer in {self._timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            away = broken(error, self._host, CONFIRM)
            # Of the events that were sent this says nothing.
            raise Unavailable(away.reason, setting=away.setting, proven=away.proven) from None
        self._check(response, body)
        return body

    async def _key_now(self) -> str | None:
        try:
            key = await self._key()
        except Unavailable as error:
            # No question was sent, but the events that it would be about were.
            raise Unavailable(error.reason, setting=error.setting, proven=error.proven) from error
        if key is not None and not (key.isascii() and key.isprintable()):
            reason = "the signing key holds characters that no key has"
            raise Unavailable(reason, setting=SIGNING_KEY, proven=True)
        return key

    def _check(self, response: httpx.Response, body: bytes) -> None:
        """Refuse what is no answer. No event has a part in any of it, so that it proves itself."""
        status = response.status_code
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            reason = f"{status}: {self._host} lets nothing be read back with this signing key"
            raise Unavailable(reason, setting=SIGNING_KEY, proven=True)
        unlike = status == HTTPStatus.OK and body.lstrip()[:1] == b"<"
        if unlike or status in _UNSERVED or 300 <= status < 400:  # noqa: PLR2004 - redirects
            reason = f"{status}: {self._host} has no API where events can be read back"
            raise Unavailable(reason, setting=CONFIRM, proven=True)
        if status != HTTPStatus.OK:
            after = retry_after(response.headers.get("retry-after"), self._clock())
            raise Unavailable(f"{status} where events are read back", after=after)

    def _decoded(self, body: bytes, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError:
            # Measured: servers of some versions answer 200 and nothing when their store fails.
            reason = f"{self._host} answers nothing readable where events are read back"
            raise Unavailable(reason) from None
