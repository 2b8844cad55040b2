"""One HTTP request as the server sees it, and the reply it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qs, unquote

import msgspec

from relay.local.inngest.intake import Intake, read_body

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
