"""Bytes in, whole requests out: what one connection has sent so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qs, unquote

import httptools
import msgspec

from relay.local.inngest.body import Intake, read_body

End: TypeAlias = Literal["answer", "refuse", "close", "reset", "cut"]

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, repr=False)
class Request:
    """A request that was read to its end. Header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __repr__(self) -> str:
        return f"<Request {self.shown}>"

    @cached_property
    def path(self) -> str:
        """The decoded path. The event key is in it: never print it, print `shown`."""
        return unquote(self.target.partition("?")[0])

    @property
    def shown(self) -> str:
        """Method and path without the key, wherever a mistaken URL has put it."""
        before, slashes, _ = self.path.partition("/e/")
        return f"{self.method} {before}{'/e/***' if slashes else ''}"

    @cached_property
    def query(self) -> Mapping[str, str]:
        """The first value of each query parameter."""
        return {name: values[0] for name, values in parse_qs(self.target.partition("?")[2]).items()}

    @cached_property
    def intake(self) -> Intake:
        """The events that the server reads from the body."""
        return read_body(self.body)

    @property
    def ids(self) -> tuple[str, ...]:
        """The producer's ids of the events that could be read."""
        return tuple(event.id for event in self.intake.events if event.id is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the events that could be read."""
        return tuple(event.name for event in self.intake.events)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and how the exchange ends: with all of it, half of its body, or none of it."""

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
    """The value as JSON and a line feed, which is how a Go server ends it."""
    return Reply(status, msgspec.json.encode(value) + b"\n", content_type, headers or {})


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
