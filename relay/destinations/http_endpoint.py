"""A destination's HTTP side: one request, one answer, and no word of a secret anywhere."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from relay.destinations.http_errors import broken, retry_after
from relay.destinations.redaction import HIDDEN, Redaction
from relay.model.destination import Unavailable
from relay.model.trace_context import traceparent_headers
from relay.version import version

ANSWER_LIMIT = 1_048_576
"""Bytes of an answer: what is longer is none of an API's."""

CONNECT_TIMEOUT = 5.0
KEEP_ALIVE = 4.0
"""Seconds. Below the 5 after which common servers close an idle connection, lest we race them."""

_SHOWN = 200


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer; `text` holds no secret. `after` is what its `Retry-After` asks for."""

    status: int
    text: str
    after: float | None

    @property
    def fields(self) -> dict[str, Any]:
        """The body's JSON object; empty where it is none."""
        try:
            value = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def shown(self) -> str:
        """Status and the beginning of the body, for a person."""
        words = " ".join(self.text.split())[:_SHOWN]
        return f"{self.status}: {words}" if words else f"{self.status} without a word"


class HttpPeer:
    """The server of a URL; an async context manager that owns its connections.

    It follows no redirect, reads no environment, and tries nothing twice. The path may be a secret:
    the client is given a URL without it, and what a server echoes is made safe.

    Args:
        url: where its API begins.
        setting: the setting that holds it.
        timeout: seconds for one request from its start to the end of its answer.
        in_flight: most requests at once.
        secrets: what must not be printed, besides the URL's own path where `hide_path`.
        hide_path: the URL is a secret.
        tls: how to talk TLS; None for the usual.
        resolve: gives the address to connect to for a host and port, or raises `Unavailable`;
            None leaves it to the client.
        clock: the time of day, for dates in `Retry-After`.
    """

    def __init__(
        self,
        url: str,
        setting: str,
        *,
        timeout: float,
        in_flight: int = 16,
        hide_path: bool = False,
        tls: ssl.SSLContext | None = None,
        resolve: Callable[[str, int], Awaitable[str]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(url)
        self._parts = parts
        self._path = parts.path.rstrip("/") if not hide_path else parts.path
        self._query = f"?{parts.query}" if parts.query else ""
        self.host = parts.netloc.rpartition("@")[2]
        self._setting = setting
        self._timeout = timeout
        self._resolve = resolve
        self._clock = clock
        self._redaction = Redaction()
        if hide_path:
            self._redaction.register_secret(f"{parts.path}{self._query}")
        self._client = httpx.AsyncClient(
            headers={"user-agent": f"sqs-relay/{version()}", "accept-encoding": "identity"},
            timeout=httpx.Timeout(timeout, connect=min(CONNECT_TIMEOUT, timeout / 2)),
            limits=httpx.Limits(
                max_connections=in_flight,
                max_keepalive_connections=in_flight,
                keepalive_expiry=KEEP_ALIVE,
            ),
            verify=True if tls is None else tls,
            follow_redirects=False,
            trust_env=False,
        )

    def __repr__(self) -> str:
        return f"<HTTP peer {self.host}>"

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

    def register_secret(self, secret: str) -> None:
        """Never print this."""
        self._redaction.register_secret(secret)

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> HttpAnswer:
        """The answer to one request; `path` is put behind the URL's own.

        Raises:
            Unavailable: there was none.
        """
        try:
            async with asyncio.timeout(self._timeout):
                request = await self._request(method, path, headers, body)
                return await self._exchange(request)
        except TimeoutError:
            raise Unavailable(f"{self.host} gave no answer in {self._timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise broken(error, self.host, self._setting) from None

    async def _request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> httpx.Request:
        parts, place = self._parts, self.host
        extensions: dict[str, Any] = {"target": f"{self._path}{path}{self._query}".encode() or b"/"}
        if self._resolve is not None:
            default = 443 if parts.scheme == "https" else 80
            address = await self._resolve(parts.hostname or "", parts.port or default)
            place = f"[{address}]" if ":" in address else address
            place = f"{place}:{parts.port}" if parts.port else place
            # The certificate is checked against the name, whatever address it led to.
            extensions["sni_hostname"] = parts.hostname
        return self._client.build_request(
            method,
            f"{parts.scheme}://{place}/{HIDDEN}",
            content=body or None,
            headers={"host": self.host, **traceparent_headers(), **headers},
            extensions=extensions,
        )

    async def _exchange(self, request: httpx.Request) -> HttpAnswer:
        response = await self._client.send(request, stream=True)
        read, size = list[bytes](), 0
        try:
            async for part in response.aiter_raw(chunk_size=16_384):
                read.append(part)
                size += len(part)
                if size > ANSWER_LIMIT:
                    break
        finally:
            await response.aclose()
        text = self._redaction.hide(b"".join(read).decode(errors="replace"))
        after = retry_after(response.headers.get("retry-after"), self._clock())
        return HttpAnswer(response.status_code, text, after)


_UNTAKEN = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.GONE,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
_SLOWER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def unavailable(answer: HttpAnswer, *, address: str, key: str | None) -> Unavailable:
    """The answer as an error of the destination as a whole.

    `address` and `key` are the settings to look at. A 401 is about nobody but us, and a 429 or a
    503 that says how long to wait about nobody but the destination; all else needs a second
    witness, for a proxy's rule may dislike one event's content.
    """
    status = answer.status
    plea = status in _SLOWER and (status == _SLOWER[0] or answer.after is not None)
    return Unavailable(
        f"the destination answers {answer.shown}",
        after=answer.after,
        setting=_setting(status, address, key),
        proven=plea or status == HTTPStatus.UNAUTHORIZED,
        not_accepted=status in _UNTAKEN,
    )


def _setting(status: int, address: str, key: str | None) -> str | None:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return key or address
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE):
        return address
    # A redirect, or a success that is none: something else than the destination listens there.
    return address if status < HTTPStatus.BAD_REQUEST else None
