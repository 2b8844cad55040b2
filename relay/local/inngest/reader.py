"""Bytes in, whole requests out: what one connection has sent so far."""

from __future__ import annotations

from collections.abc import Callable

import httptools

from relay.local.inngest.exchange import Request


class RequestReader:
    """Collects requests from a stream of bytes.

    Args:
        complete: called with each request that was read to its end, and whether its client wants
            to keep the connection.
        proceed: called when a client waits for `100 Continue` before it sends the body.
    """

    def __init__(
        self, complete: Callable[[Request, bool], None], proceed: Callable[[], None]
    ) -> None:
        self._parser = httptools.HttpRequestParser(_Callbacks(self))
        self._complete = complete
        self._proceed = proceed
        self.forget()

    def feed(self, data: bytes) -> None:
        """Read on.

        Raises:
            ValueError: this is no HTTP.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise ValueError("not an HTTP request") from error

    def forget(self) -> None:
        """Drop what was read of the current request."""
        self.target = b""
        self.headers: dict[str, str] = {}
        self.chunks: list[bytes] = []
        self.in_body = False

    def finish(self) -> None:
        """The client has gone: what arrived of a body counts, as it does in a streaming server."""
        if self.in_body and self.chunks:
            self.complete(keep=False)

    def head_complete(self) -> None:
        """Begin the body."""
        self.in_body = True
        if self.headers.get("expect", "").lower() == "100-continue":
            self._proceed()

    def complete(self, *, keep: bool) -> None:
        """Hand the request over and begin the next."""
        method = self._parser.get_method().decode("ascii")
        target = self.target.decode("latin-1")
        request = Request(method, target, self.headers, b"".join(self.chunks))
        self.forget()
        self._complete(request, keep)

    def should_keep_alive(self) -> bool:
        """Whether the client wants to go on after this request."""
        return bool(self._parser.should_keep_alive())


class _Callbacks:
    """The parser's side of the reader; the names are the parser's."""

    def __init__(self, reader: RequestReader) -> None:
        self._reader = reader

    def on_url(self, url: bytes) -> None:
        self._reader.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._reader.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._reader.head_complete()

    def on_body(self, body: bytes) -> None:
        self._reader.chunks.append(body)

    def on_message_complete(self) -> None:
        self._reader.complete(keep=self._reader.should_keep_alive())
