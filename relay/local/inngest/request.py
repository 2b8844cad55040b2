"""HTTP requests and replies, and the reader that parses requests from a byte stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qs, unquote

import httptools
import msgspec

from relay.local.inngest.body import ParsedBody, read_body

End: TypeAlias = Literal["answer", "refuse", "close", "reset", "cut"]

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, repr=False)
class Request:
    """A complete request. Header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __repr__(self) -> str:
        return f"<Request {self.shown}>"

    @property
    def raw_path(self) -> str:
        """The path as it came, which is what the server compares. Never log it either."""
        return self.target.partition("?")[0]

    @cached_property
    def path(self) -> str:
        """The decoded path. It contains the event key: never log it, log `shown`."""
        return unquote(self.target.partition("?")[0])

    @property
    def shown(self) -> str:
        """Method and path without the event key, also if a wrong URL has it in another place."""
        before, slashes, _ = self.path.partition("/e/")
        return f"{self.method} {before}{'/e/***' if slashes else ''}"

    @cached_property
    def query(self) -> Mapping[str, str]:
        """The first value of each query parameter."""
        return {name: values[0] for name, values in parse_qs(self.target.partition("?")[2]).items()}

    @cached_property
    def parsed(self) -> ParsedBody:
        """The events in the body, as the server parses them."""
        return read_body(self.body, self.headers.get("content-type", ""))

    @property
    def ids(self) -> tuple[str, ...]:
        """The producer's ids of the valid events."""
        return tuple(event.id for event in self.parsed.events if event.id is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the valid events."""
        return tuple(event.name for event in self.parsed.events)


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, and how it ends: sent completely, cut in half, or not sent at all.

    Without a content type it has no such header.
    """

    status: int
    body: bytes
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)
    end: End = "answer"


def as_json(
    value: Any,
    status: int = 200,
    content_type: str = TEXT,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """The value as JSON, with a trailing line feed as from a Go server."""
    return Reply(status, msgspec.json.encode(value) + b"\n", content_type, headers or {})


class RequestReader:
    """Parses requests from a byte stream.

    Args:
        complete: called with each complete request, and whether to keep the connection open.
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
        """Parse more bytes.

        Raises:
            ValueError: they are not HTTP.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise ValueError("not an HTTP request") from error

    def forget(self) -> None:
        """Discard what was read of the current request."""
        self.target = b""
        self.headers: dict[str, str] = {}
        self.chunks: list[bytes] = []
        self.in_body = False

    def finish(self) -> None:
        """The client has gone: complete the request with the part of the body that arrived.

        A real server, which streams the body, does the same.
        """
        if self.in_body and self.chunks:
            self.complete(keep=False)

    def head_complete(self) -> None:
        """The headers are complete, the body begins."""
        self.in_body = True
        if self.headers.get("expect", "").lower() == "100-continue":
            self._proceed()

    def complete(self, *, keep: bool) -> None:
        """Pass the request on and begin the next one."""
        method = self._parser.get_method().decode("ascii")
        target = self.target.decode("latin-1")
        request = Request(method, target, self.headers, b"".join(self.chunks))
        self.forget()
        self._complete(request, keep)

    def should_keep_alive(self) -> bool:
        """Whether the client keeps the connection open after this request."""
        return bool(self._parser.should_keep_alive())


class _Callbacks:
    """The callbacks of the parser, which defines their names."""

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
