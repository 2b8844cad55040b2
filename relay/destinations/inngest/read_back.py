"""Reads the events that an Inngest server has stored, from `/v1/events`.

Recorded on self-hosted servers (tests/recordings): an answer with an `error` is an error, and a 200
all the same; only then it has a `status`, 404 for an event that is not stored. Found events have no
`status`, and come as `text/plain` from the server's cache. A page has at most 51 events whatever
limit is requested, newest first by internal id, and without `received_after` only those of the last
hour. Storing lags behind the acknowledgement by up to several seconds.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

import msgspec

from relay.destinations.http_clients import http_client, read_body
from relay.destinations.http_errors import request_error, retry_after
from relay.destinations.inngest.answers import Answer, from_proxy, server_kind
from relay.model.destination import Unavailable

if TYPE_CHECKING:
    import httpx

CLOUD_API = "https://api.inngest.com"
"""The Cloud's API for stored events; `inn.gs` only accepts events."""

SIGNING_KEY = "RELAY_INNGEST_SIGNING_KEY"
CONFIRM = "RELAY_CONFIRM"

PAGE = 51
PAGE_LIMIT = 8 * 1_048_576
EVENT_LIMIT = 32 * 1_048_576
"""Bytes of an answer: events are returned whole, and escaping makes one of 3 MiB larger."""

LATEST = 4_102_444_800.0
"""2100-01-01: an internal id that is no ULID may seem to contain any time."""

_T = TypeVar("_T")
_NO_SUCH_API = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)


class Stored(msgspec.Struct, frozen=True):
    """A stored copy of an event; `id` is the producer's, `internal_id` the server's."""

    internal_id: str
    id: str = ""
    name: str = ""


class _Page(msgspec.Struct):
    data: list[Stored] | msgspec.UnsetType | None = msgspec.UNSET
    error: Any = None
    status: Any = None


class _Single(msgspec.Struct):
    data: Stored | None = None
    error: Any = None
    status: Any = None

    @property
    def found(self) -> bool:
        return not self.error and self.data is not None

    @property
    def not_stored(self) -> bool:
        return bool(self.error) and self.status == HTTPStatus.NOT_FOUND


class PageTooLarge(Exception):
    """A page has more bytes than are worth reading: request the events one by one instead."""


class ReadBack:
    """One server's stored events; an async context manager that owns its connections.

    No `Unavailable` that it raises is `not_accepted`: it says nothing about the events sent.

    Args:
        url: the base URL.
        key: returns the current signing key, None if the server needs none; may raise.
        cloud: whether the server is Inngest Cloud.
        env: the name of a branch environment of the Cloud.
        timeout: seconds for one request and its whole answer.
        tls: the TLS context; None for the default.
        clock: the time of day, for dates in `Retry-After`.

    Attributes:
        server_kind: what the last answer said the server is, see `answers.server_kind`.
    """

    def __init__(
        self,
        url: str,
        key: Callable[[], Awaitable[str | None]],
        *,
        cloud: bool = False,
        env: str | None = None,
        timeout: float = 10.0,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = f"{CLOUD_API if cloud else url.rstrip('/')}/v1/events"
        self._host = urlsplit(self._url).netloc.rpartition("@")[2]
        self._key = key
        self._timeout = timeout
        self._clock = clock
        self._client = http_client(
            self._url, timeout, {} if env is None else {"x-inngest-env": env}, tls
        )
        self.server_kind: str | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def is_stored(self, internal_id: str) -> bool:
        """Whether the event of this internal id is stored.

        Raises:
            Unavailable: the server gave no usable answer.
        """
        body = await self._get(f"{self._url}/{internal_id}", {}, EVENT_LIMIT)
        answer = self._decoded(body, _Single)
        if answer.found or answer.not_stored:
            return answer.found
        raise self._unusable(answer.error, answer.status)

    async def page(
        self, after: float, *, below: str = "", name: str = "", limit: int = PAGE
    ) -> Sequence[Stored]:
        """The newest stored events, at most 51.

        Args:
            after: only events received since, in epoch seconds of the server's clock.
            below: only events whose internal id is less.
            name: only events of this name.
            limit: the most events.

        Raises:
            Unavailable: the server gave no usable answer.
            PageTooLarge: the page has too many bytes.
        """
        since = datetime.fromtimestamp(min(max(after, 0.0), LATEST), UTC).isoformat(
            timespec="milliseconds"
        )
        query = {"received_after": since.replace("+00:00", "Z"), "limit": str(limit)}
        optional = {"cursor": below, "name": name}
        query |= {field: value for field, value in optional.items() if value}
        body = await self._get(self._url, query, PAGE_LIMIT)
        if len(body) > PAGE_LIMIT:
            raise PageTooLarge
        answer = self._decoded(body, _Page)
        if answer.error or isinstance(answer.data, msgspec.UnsetType):
            raise self._unusable(answer.error, answer.status)
        return answer.data or ()

    async def _get(self, url: str, query: Mapping[str, str], limit: int) -> bytes:
        import httpx  # noqa: PLC0415 - only confirm mode needs it

        key = await self._current_key()
        signed = {"authorization": f"Bearer {key}"} if key else {}
        request = self._client.build_request("GET", url, params=query, headers=signed)
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.send(request, stream=True)
                try:
                    body = await read_body(response, limit)
                finally:
                    await response.aclose()
        except TimeoutError:
            reason = f"{self._host} gave no answer in {self._timeout:g} s when reading events back"
            raise Unavailable(reason) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failed = request_error(error, self._host, CONFIRM)
            # Without `not_accepted`: this says nothing about the events that were sent.
            raise Unavailable(
                failed.reason,
                setting=failed.setting,
                proven=failed.proven,
                disconnected=failed.disconnected,
            ) from None
        self._check(response, body)
        self.server_kind = server_kind(response.headers)
        return body

    async def _current_key(self) -> str | None:
        try:
            key = await self._key()
        except Unavailable as error:
            # Without `not_accepted`: no read-back was sent, but the events were.
            raise Unavailable(error.reason, setting=error.setting, proven=error.proven) from error
        if key is not None and not (key.isascii() and key.isprintable()):
            reason = "the signing key contains characters that no key has"
            raise Unavailable(reason, setting=SIGNING_KEY, proven=True)
        return key

    def _check(self, response: httpx.Response, body: bytes) -> None:
        """Raise for an unusable answer. A misconfiguration is proven: no event can be its cause."""
        status = response.status_code
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            reason = f"{status}: {self._host} does not allow reading back with this signing key"
            raise Unavailable(reason, setting=SIGNING_KEY, proven=True)
        is_html = status == HTTPStatus.OK and body.lstrip()[:1] == b"<"
        if is_html or status in _NO_SUCH_API or 300 <= status < 400:  # noqa: PLR2004 - redirects
            reason = f"{status}: {self._host} has no API to read events back"
            raise Unavailable(reason, setting=CONFIRM, proven=True)
        if status != HTTPStatus.OK:
            after = retry_after(response.headers.get("retry-after"), self._clock())
            answer = Answer(status, body.decode(errors="replace"), response.headers)
            raise Unavailable(
                f"{status} when reading events back", after=after, disconnected=from_proxy(answer)
            )

    def _decoded(self, body: bytes, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(body, type=kind)
        except (ValueError, RecursionError):
            # Measured: some server versions answer 200 with an empty body when their store fails.
            raise self._unusable(None, None) from None

    def _unusable(self, error: Any, status: Any) -> Unavailable:
        if error and isinstance(status, int):
            return Unavailable(f"{self._host} answers {status} when reading events back")
        return Unavailable(f"{self._host} gives an unreadable answer when reading events back")
