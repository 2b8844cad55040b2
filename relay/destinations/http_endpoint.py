"""The HTTP endpoint of a destination: sends one request, and keeps secrets out of its answer."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from relay.destinations.http_clients import CONNECT_TIMEOUT, KEEP_ALIVE, read_body
from relay.destinations.http_errors import request_error, retry_after
from relay.destinations.redaction import ClientLogFilter
from relay.http.addresses import Resolve
from relay.model.destination import Unavailable
from relay.model.trace_context import traceparent_headers
from relay.output.redaction import HIDDEN, Redactor
from relay.version import version

if TYPE_CHECKING:
    import httpx

ANSWER_LIMIT = 1_048_576
"""Bytes of an answer that are read: an API's answer is not longer."""

_SUMMARY_CHARACTERS = 200

_NOT_ACCEPTED = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.GONE,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
_SLOW_DOWN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer; secrets in `text` are redacted. `after` is the seconds of its `Retry-After`."""

    status: int
    text: str
    after: float | None

    @property
    def fields(self) -> dict[str, Any]:
        """The body's JSON object; empty if it is none."""
        try:
            value = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def summary(self) -> str:
        """Status and the beginning of the body, for operators."""
        words = " ".join(self.text.split())[:_SUMMARY_CHARACTERS]
        return f"{self.status}: {words}" if words else f"{self.status} with an empty body"


class HttpEndpoint:
    """The server of a URL; an async context manager that owns its connections.

    It follows no redirect and does not retry. The environment names its proxy. The path may be a
    secret: the client gets a URL without it, and it is redacted in what the server echoes.

    Args:
        url: the base URL of the API.
        setting: the setting that holds it.
        timeout: seconds for one request from its start to the end of its answer.
        in_flight: the most concurrent requests.
        hide_path: the URL's path and query are secrets.
        tls: the TLS context; None for the default.
        redactor: knows the process's secrets; None if there are no others.
        resolve: looks up the server's name; it may refuse its addresses with `Unavailable`.
        clock: the time of day, for dates in `Retry-After`.
    """

    def __init__(  # noqa: PLR0913 - what one connection consists of
        self,
        url: str,
        setting: str,
        *,
        timeout: float,
        in_flight: int = 16,
        hide_path: bool = False,
        tls: ssl.SSLContext | None = None,
        redactor: Redactor | None = None,
        resolve: Resolve | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        import httpx  # noqa: PLC0415 - only a destination that needs it imports it

        from relay.destinations.http_transport import RepeatingTransport  # noqa: PLC0415 - the same

        parts = urlsplit(url)
        self._parts = parts
        self._path = parts.path.rstrip("/") if not hide_path else parts.path
        self._query = f"?{parts.query}" if parts.query else ""
        self.host = parts.netloc.rpartition("@")[2]
        self._setting = setting
        self._timeout = timeout
        self._clock = clock
        self._redactor = redactor or Redactor()
        self._log_filter = ClientLogFilter(self._redactor)
        if hide_path:
            self._redactor.register_secret(url)
        self._client = httpx.AsyncClient(
            headers={"user-agent": f"sqs-relay/{version()}", "accept-encoding": "identity"},
            timeout=httpx.Timeout(timeout, connect=min(CONNECT_TIMEOUT, timeout / 2)),
            transport=RepeatingTransport(
                url, connections=in_flight, keep_alive=KEEP_ALIVE, tls=tls, resolve=resolve
            ),
            follow_redirects=False,
            trust_env=False,
        )

    def __repr__(self) -> str:
        return f"<HTTP endpoint {self.host}>"

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

    def register_secret(self, secret: str) -> None:
        """Redact this secret from now on."""
        self._redactor.register_secret(secret)

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> HttpAnswer:
        """The answer to one request; `path` is appended to the URL's own.

        Raises:
            Unavailable: there was no answer.
        """
        import httpx  # noqa: PLC0415 - as above

        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(self._build_request(method, path, headers, body))
        except TimeoutError:
            raise Unavailable(f"{self.host} gave no answer in {self._timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise request_error(error, self.host, self._setting) from None

    def _build_request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> httpx.Request:
        target = f"{self._path}{path}{self._query}".encode() or b"/"
        return self._client.build_request(
            method,
            f"{self._parts.scheme}://{self.host}/{HIDDEN}",
            content=body or None,
            headers={"host": self.host, **traceparent_headers(), **headers},
            extensions={"target": target},
        )

    async def _exchange(self, request: httpx.Request) -> HttpAnswer:
        response = await self._client.send(request, stream=True)
        try:
            body = await read_body(response, ANSWER_LIMIT)
        finally:
            await response.aclose()
        text = self._redactor.redact_known(body.decode(errors="replace"))
        after = retry_after(response.headers.get("retry-after"), self._clock())
        return HttpAnswer(response.status_code, text, after)


def unavailable(answer: HttpAnswer, *, address: str, key: str | None) -> Unavailable:
    """The answer as a failure of the destination as a whole.

    `address` and `key` are the settings to check. A 401 is certainly about the relay's credential,
    and a 429 or a 503 with `Retry-After` is certainly about the destination. Any other answer needs
    a second event as evidence, because a proxy's rule may refuse the content of one event.
    """
    status = answer.status
    slow_down = status in _SLOW_DOWN and (
        status == HTTPStatus.TOO_MANY_REQUESTS or answer.after is not None
    )
    return Unavailable(
        f"the destination answers {answer.summary}",
        after=answer.after,
        setting=_setting(status, address, key),
        proven=slow_down or status == HTTPStatus.UNAUTHORIZED,
        not_accepted=status in _NOT_ACCEPTED,
    )


def _setting(status: int, address: str, key: str | None) -> str | None:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return key or address
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE):
        return address
    # A redirect or an unexpected success: something else than the destination listens there.
    return address if status < HTTPStatus.BAD_REQUEST else None
