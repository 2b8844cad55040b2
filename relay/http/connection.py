"""One HTTP connection to a server, with one request at a time."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import httptools

from relay.http.tls import keep_session


@dataclass(frozen=True, slots=True)
class Response:
    """A response. Header names are in lower case; of a repeated header the last value is kept.

    If the body was longer than the requested limit, it is cut, and `complete` is False.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | bytearray
    complete: bool = True


class NotConnected(ConnectionError):
    """The connection could not be opened, so that nothing was sent. `__cause__` says why."""


class IncompleteResponse(ConnectionError):
    """The connection ended, or sent invalid HTTP, before a complete response.

    The request may have arrived.

    Args:
        reason: a phrase for a person, without anything that was sent or received.
        cause: the error of the operating system or the parser; None for a normal close.
        unanswered: no byte of a response arrived.
        unsent: a part of the request was never sent, so that the server cannot have acted on it.

    Attributes:
        stale: the connection was a kept one that the server may have closed as idle.
    """

    def __init__(
        self,
        reason: str,
        cause: BaseException | None = None,
        *,
        unanswered: bool = False,
        unsent: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.__cause__ = cause
        self.unanswered = unanswered
        self.unsent = unsent
        self.stale = False


_FINAL_STATUS = 200
"""Lower statuses are interim responses."""

_LARGE = 65_536
"""Bytes of a body from which it is put together in place."""

_HEAD_LIMIT = 65_536
"""Bytes of a response's headers. Normal servers send a hundredth of it."""


class Connection(asyncio.Protocol):
    """Sends requests and parses the responses. The parser calls the methods named `on_…`."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._response: asyncio.Future[None] | None = None
        self._received: Response | None = None
        self._limit = 0
        self._keep = True
        self._session_kept = False
        self._answered = False
        self._unsent = False
        self._whole: bytearray | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._reset()

    @property
    def open(self) -> bool:
        """Whether neither side has closed the connection or announced to close it."""
        return self._keep and self._transport is not None and not self._transport.is_closing()

    @property
    def usable(self) -> bool:
        """Whether another request may be sent. The server's close may still be in the socket."""
        if not self.open or self._transport is None:
            return False
        readable = select.poll()
        readable.register(self._transport.get_extra_info("socket"), select.POLLIN)
        return not readable.poll(0)

    async def exchange(self, request: Sequence[bytes | memoryview], limit: int) -> Response:
        """Send a request, given in pieces, and return the response, its body cut after `limit`.

        A caller that is cancelled must close the connection.

        Raises:
            IncompleteResponse: there was no complete response.
        """
        if self._transport is None:
            raise IncompleteResponse("closed the connection", unanswered=True, unsent=True)
        self._limit = limit
        self._answered = False
        self._response = asyncio.get_running_loop().create_future()
        self._transport.writelines(request)
        await self._response
        # Not the result of the future, which the loop keeps until the task waits again.
        response, self._received = self._received, None
        assert response is not None  # noqa: S101 - `_finish` has set it, for the type checker
        return response

    def close(self) -> None:
        """Close the connection at once."""
        self._keep = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)  # other loops have no subclass
        # Then a pause means that a part of the request waits in this process. (With `high=0` the
        # TLS transport would pause with nothing to write.)
        self._transport.set_write_buffer_limits(high=1, low=0)

    def pause_writing(self) -> None:
        """A part of the request could not be sent yet."""
        self._unsent = True

    def resume_writing(self) -> None:
        """All of the request was sent."""
        self._unsent = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Finish or fail the response: one without a length ends with the connection."""
        self._transport = None
        if self._status >= _FINAL_STATUS and not self._measured and exc is None:
            self._finish()
        self._fail(
            "closed the connection without a complete response",
            exc,
            unanswered=not self._answered,
            unsent=self._unsent,
        )

    def data_received(self, data: bytes) -> None:
        """Parse a part of the response."""
        if self._response is None:
            self._fail("sent an unsolicited response")
            return
        self._answered = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail("sent invalid HTTP", error)

    def on_message_begin(self) -> None:
        """A response starts. Close on a second one: it must not be taken for the next request's."""
        if self._response is None:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header. Trailers are ignored."""
        self._head += len(name) + len(value)
        if self._head > _HEAD_LIMIT:
            self._fail("sent too many headers")
        if self._status or self._head > _HEAD_LIMIT:
            return
        key = name.decode("latin-1").lower()
        self._measured |= key in ("content-length", "transfer-encoding")
        self._headers[key] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Store the status, and make room for a large body."""
        self._status = self._parser.get_status_code()
        length = self._headers.get("content-length", "")
        # The parser has refused one that is no number.
        if length.isdecimal() and _LARGE <= int(length) <= self._limit:
            self._whole = bytearray(int(length))

    def on_body(self, body: bytes) -> None:
        """Store a part of the body, up to the limit."""
        start = self._size
        self._size += len(body)
        if self._whole is None:
            self._parts.append(body)
        else:
            self._whole[start : self._size] = body
        if self._size > self._limit:
            self._finish(complete=False)
            self.close()

    def on_message_complete(self) -> None:
        """Finish the response, unless it is an interim one."""
        if self._whole is not None:
            del self._whole[self._size :]  # a 204 or 304 has no body, whatever length it states
        if self._status < _FINAL_STATUS:
            self._reset()
            return
        self._keep &= self._parser.should_keep_alive()
        self._finish()

    def _reset(self) -> None:
        self._status = 0
        self._head = 0
        self._size = 0
        self._measured = False
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._whole = None

    def _finish(self, *, complete: bool = True) -> None:
        if not self._session_kept and self._transport is not None:
            self._session_kept = True
            keep_session(self._transport.get_extra_info("ssl_object"))
        future = self._take_future()
        if future is not None:
            body = b"".join(self._parts) if self._whole is None else self._whole
            self._received = Response(self._status, self._headers, body, complete)
            future.set_result(None)
        self._reset()

    def _fail(
        self,
        reason: str,
        cause: BaseException | None = None,
        *,
        unanswered: bool = False,
        unsent: bool = False,
    ) -> None:
        future = self._take_future()
        if future is not None:
            error = IncompleteResponse(reason, cause, unanswered=unanswered, unsent=unsent)
            future.set_exception(error)
        self.close()

    def _take_future(self) -> asyncio.Future[None] | None:
        """The future of the pending request, once."""
        future, self._response = self._response, None
        return None if future is None or future.done() else future
