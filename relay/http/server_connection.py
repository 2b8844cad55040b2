"""A connection of the HTTP server: uvicorn's own, with the limits and timeouts that it lacks.

Nothing that a client sends, or leaves unsent, can take memory, time or file descriptors without
bound. https://www.uvicorn.org documents `http=` for protocol classes; none of its options limits
headers, the time for a request or connections that send nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from relay.http.server_limits import (
    HEAD_BYTES,
    HEADERS,
    PIPELINED,
    PIPELINED_READS,
    SURPLUS,
    UNFINISHED_BYTES,
    WRITE_TIMEOUT,
    ServerLimits,
)

_END = b"\r\n\r\n"


_REASONS = {
    HTTPStatus.BAD_REQUEST: "the request is not valid HTTP",
    HTTPStatus.REQUEST_TIMEOUT: "the request did not arrive in time",
    HTTPStatus.LENGTH_REQUIRED: "the body has no length: send Content-Length, not chunks",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "the headers are too large, or too many",
}
"""The sentence of each refusal. An SDK of an event API takes an answer without an `error` for
another thing than it is: Go's for a success."""


def _refusal(status: HTTPStatus) -> bytes:
    """The whole response to a request that no application gets."""
    code = status.name.lower()
    body = json.dumps({"error": _REASONS[status], "code": code, "status": status}).encode()
    return (
        b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        b"connection: close\r\n\r\n%b"
    ) % (status, status.phrase.encode(), len(body), body)


class ServerConnection(HttpToolsProtocol):
    """One connection. The parser calls the methods named `on_…`.

    A head is given to the parser in one piece, because the parser's time for one that arrives in
    many pieces is quadratic.
    """

    def __init__(
        self,
        limits: ServerLimits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._head = bytearray()
        self._in_head = False
        self._in_body = False
        self._unfinished = 0
        self._head_reads = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._abort_timer: asyncio.TimerHandle | None = None
        self._refusal = HTTPStatus.BAD_REQUEST
        self._used = False
        self._waiting_since = 0.0

    @property
    def unfinished(self) -> int:
        """Bytes of a request that has not arrived completely."""
        return self._unfinished

    @property
    def rank(self) -> tuple[bool, float]:
        """The order in which waiting connections are closed to make room."""
        return self._used, self._waiting_since

    @property
    def waiting(self) -> bool:
        """Whether no request is being answered."""
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is None or cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Make room for the connection, or close it if there is none."""
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        self._set_deadline()
        if len(self.connections) > self._limits.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers."""
        self._clear_deadline()
        self.resume_writing()
        self._count(-self._unfinished)
        self._head.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse a part of a request, or keep it until its head is complete."""
        if self.transport.is_closing():
            return
        if not self._in_head and not self._in_body:
            whole = self._complete_head(data)
            if whole is None:
                return
            data = whole
        elif self._in_body:
            self._count(len(data))
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head:
            self._head_reads += 1
            if self._head_reads > PIPELINED_READS:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if self._in_head or self._in_body or self.waiting:
            self._set_deadline()
        else:
            self._clear_deadline()

    def _complete_head(self, data: bytes) -> bytes | None:
        """All that was received, once it contains a whole head; None until then."""
        if not self._head and _END in data:
            return data
        searched = max(0, len(self._head) - len(_END) + 1)
        self._head += data
        if self._head.find(_END, searched) >= 0:
            whole = bytes(self._head)
            self._head.clear()
            self._count(-self._unfinished)
            return whole
        self._unset_keepalive_if_required()
        self._set_deadline()
        if len(self._head) > HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            self._count(len(data))
        return None

    def on_message_begin(self) -> None:
        """A request starts."""
        super().on_message_begin()
        self._in_head = True
        self._head_reads = 0
        self._used = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header.

        Raises:
            ValueError: there are too many, or the body has no length.
        """
        if len(self.headers) >= HEADERS:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise ValueError("too many headers")
        if name.lower() == b"transfer-encoding":
            # RFC 9110, 15.5.12. Chunks could be endless in their extensions and trailers.
            self._refusal = HTTPStatus.LENGTH_REQUIRED
            raise ValueError("a body without a length")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, unless the client sends too many ahead.

        Raises:
            ValueError: it does.
        """
        if len(self.pipeline) >= PIPELINED:
            self.transport.abort()
            raise ValueError("too many requests sent ahead")
        self._in_head, self._in_body = False, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request has arrived completely."""
        self._in_head = self._in_body = False
        self._count(-self._unfinished)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._waiting_since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse an invalid request."""
        del msg
        self._refuse(self._refusal)

    def pause_writing(self) -> None:
        """Abort the connection unless the client takes some of the response in time."""
        super().pause_writing()
        self._abort_later()

    def resume_writing(self) -> None:
        """The client took some of it."""
        super().resume_writing()
        if self._abort_timer is not None:
            self._abort_timer.cancel()
            self._abort_timer = None

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, whether or not the client took the last response."""
        super().timeout_keep_alive_handler()
        self._abort_later()

    def _refuse(self, status: HTTPStatus) -> None:
        if self.transport.is_closing():
            return
        if self.waiting and not self._in_body:
            self.transport.write(_refusal(status))
        self.transport.close()
        self._abort_later()

    def _abort_later(self) -> None:
        if self._abort_timer is None:
            self._abort_timer = self.loop.call_later(WRITE_TIMEOUT, self.transport.abort)

    def _set_deadline(self) -> None:
        if self._deadline is None:
            timeout = self._limits.request_timeout
            self._deadline = self.loop.call_later(timeout, self._time_out)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _time_out(self) -> None:
        self._deadline = None
        if self._head or self._in_head or self._in_body:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif self.waiting and self.timeout_keep_alive_task is None:
            self.transport.close()

    def _count(self, size: int) -> None:
        """Count bytes of an unfinished request; close the largest if all are too many."""
        self._unfinished += size
        self._limits.unfinished += size
        if size > 0 and self._limits.unfinished > UNFINISHED_BYTES:
            self._limits.log("requests of over %d bytes are unfinished", UNFINISHED_BYTES)
            largest = max(self._others(), key=lambda one: one.unfinished)
            largest.transport.abort()

    def _make_room(self) -> None:
        """Close the connection that has waited longest for a request, unused ones first."""
        waiting = [one for one in self._others() if one.waiting and one is not self]
        if waiting:
            self._limits.log(
                "%d connections are open, the most that the limit of open files (nofile) allows:"
                " closing idle ones",
                self._limits.connections,
            )
            idlest = min(waiting, key=lambda one: one.rank)
            idlest.transport.abort()
            # It ends in the loop's next round. Until then it must not count: a request that comes
            # in this round would be refused.
            self.connections.discard(idlest)
        elif len(self.connections) > self._limits.connections + SURPLUS:
            self.transport.abort()

    def _others(self) -> Iterator[ServerConnection]:
        """The server's connections."""
        return (one for one in self.connections if isinstance(one, ServerConnection))
