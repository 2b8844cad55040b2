"""One connection to a server: a request at a time, and its answer."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import httptools


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. Header names are in lower case; of one that came twice the last value counts.

    `body` is cut, and `whole` False, where it was longer than the limit that was asked for.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True


class NotConnected(ConnectionError):
    """No connection came about, so that nothing was sent; `__cause__` says why."""


class IncompleteResponse(ConnectionError):
    """The connection ended, or spoke no HTTP, before a whole answer: the request may have arrived.

    Args:
        reason: a phrase for a person, free of anything that was sent or received.
        cause: the operating system's or the parser's error, None for a plain close.
    """

    def __init__(self, reason: str, cause: BaseException | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.__cause__ = cause


_FINAL = 200
"""Statuses below it only announce the answer."""

_HEAD_LIMIT = 65_536
"""Bytes of an answer's headers; an honest server needs a hundredth."""


class Connection(asyncio.Protocol):
    """Reads answers as they come. The parser calls the methods named `on_…`."""

    def __init__(self) -> None:
        self.since = 0.0
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._limit = 0
        self._keep = True
        self._parser = httptools.HttpResponseParser(self)
        self._reset()

    @property
    def open(self) -> bool:
        """Whether both sides mean to go on."""
        return self._keep and self._transport is not None and not self._transport.is_closing()

    @property
    def usable(self) -> bool:
        """Whether another request may be sent: a server's farewell may wait in the socket."""
        if not self.open or self._transport is None:
            return False
        waiting = select.poll()
        waiting.register(self._transport.get_extra_info("socket"), select.POLLIN)
        return not waiting.poll(0)

    async def exchange(self, request: bytes, limit: int) -> Answer:
        """Send a request and read its answer, cut where it is longer than `limit` bytes.

        A caller that is cancelled must close the connection.

        Raises:
            IncompleteResponse: there was no whole answer.
        """
        if self._transport is None:
            raise IncompleteResponse("closed the connection")
        self._limit = limit
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """End it at once; nothing more can come."""
        self._keep = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast("asyncio.Transport", transport)  # other loops' are no subclasses

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits gets what there is: an answer without a length ends like this."""
        self._transport = None
        if self._status >= _FINAL and not self._measured and exc is None:
            self._finish()
        self._fail("closed the connection without a whole answer", exc)

    def data_received(self, data: bytes) -> None:
        """More of the answer."""
        if self._answer is None:
            self._fail("sent something that nobody asked for")
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail("sent something that is no HTTP", error)

    def on_message_begin(self) -> None:
        """An answer starts. A second one to the same request must not pass for the next one's."""
        if self._answer is None:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer: those say nothing that is asked for."""
        self._head += len(name) + len(value)
        if self._head > _HEAD_LIMIT:
            self._fail("sent headers without end")
        if self._status or self._head > _HEAD_LIMIT:
            return
        key = name.decode("latin-1").lower()
        self._measured |= key in ("content-length", "transfer-encoding")
        self._headers[key] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """All headers."""
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._parts.append(body)
        self._size += len(body)
        if self._size > self._limit:
            self._finish(whole=False)
            self.close()

    def on_message_complete(self) -> None:
        """The end of the answer, or of one that only announces it."""
        if self._status < _FINAL:
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

    def _finish(self, *, whole: bool = True) -> None:
        waiting = self._waiting()
        if waiting is not None:
            body = b"".join(self._parts)
            waiting.set_result(Answer(self._status, self._headers, body, whole))
        self._reset()

    def _fail(self, reason: str, cause: BaseException | None = None) -> None:
        waiting = self._waiting()
        if waiting is not None:
            waiting.set_exception(IncompleteResponse(reason, cause))
        self.close()

    def _waiting(self) -> asyncio.Future[Answer] | None:
        """Whoever waits for an answer, once."""
        waiting, self._answer = self._answer, None
        return None if waiting is None or waiting.done() else waiting
