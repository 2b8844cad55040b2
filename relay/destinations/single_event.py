"""Destinations that take one event a request: the `Starter` interface, concurrency, and ids."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

from relay.model.destination import BatchRefused, Limits, Unavailable
from relay.model.event import Event
from relay.model.outcome import TOO_LARGE, Delivered, Outcome, Reject, Retry
from relay.model.traits import Traits

PREFIX = "relay"
DIGITS = 40
"""Hex digits of the SHA-256 that are used: 160 bits."""

_HEADER = re.compile(r"[!-~]([ -~]{0,254}[!-~])?")
_TEXT_BYTES = 255

Content: TypeAlias = Literal["event", "data"]


def hashed_id(event_id: str) -> str:
    """The id's hash: 46 lowercase letters, digits and one hyphen.

    It is valid as a Kubernetes name and as a Step Functions execution name.
    """
    digest = hashlib.sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{PREFIX}-{digest[:DIGITS]}"


def text_id(event_id: str) -> str:
    """The id itself if it is printable and has at most 255 bytes, else its hash.

    An id that begins like a hash is hashed too, so that no two ids have the same result.
    """
    encoded = event_id.encode("utf-8", "surrogatepass")
    plain = event_id.isprintable() and 0 < len(encoded) <= _TEXT_BYTES
    return event_id if plain and not event_id.startswith(f"{PREFIX}-") else hashed_id(event_id)


def header_id(event_id: str) -> str:
    """The id itself if it is valid as an HTTP header value, else its hash."""
    fits = _HEADER.fullmatch(event_id)
    return event_id if fits and not event_id.startswith(f"{PREFIX}-") else hashed_id(event_id)


def content(event: Event, what: Content) -> bytes:
    """The event or its data as JSON: the same bytes at each delivery, without counts or times."""
    if what == "event":
        return event.wire
    return b"{}" if event.data is None else bytes(event.data)


def json_string(text: bytes) -> bytes:
    """JSON text as a JSON string, for APIs whose parameters are text."""
    # Nothing else needs escaping: JSON text contains no raw control characters except the
    # whitespace between its tokens.
    for raw, escaped in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n"), (b"\r", b"\\r")):
        text = text.replace(raw, escaped)
    return b'"' + text.replace(b"\t", b"\\t") + b'"'


class Starter(Protocol):
    """Starts a single event at one kind of destination; the rest is common to all of them."""

    @property
    def traits(self) -> Traits:
        """The destination's traits."""
        ...

    def payload(self, event: Event) -> bytes:
        """The bytes sent for the event: the same at each delivery."""
        ...

    async def start(self, event: Event, payload: bytes) -> Outcome:
        """Make one attempt.

        Raises:
            Unavailable: there was no answer, or none about this event.
        """
        ...


class SingleEventDestination:
    """A destination from a starter, with at most `in_flight` concurrent starts.

    An event larger than the destination accepts is rejected without a request.
    """

    def __init__(self, starter: Starter, in_flight: int) -> None:
        self._starter = starter
        self._limits = starter.traits.limits(in_flight)
        self._free = asyncio.Semaphore(in_flight)

    def __repr__(self) -> str:
        return f"<single events to {self._starter.traits.name}>"

    @property
    def traits(self) -> Traits:
        """The destination's traits."""
        return self._starter.traits

    @property
    def limits(self) -> Limits:
        """What one call may hold, and the most concurrent calls."""
        return self._limits

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """An outcome for each event, in order.

        Raises:
            Unavailable: no event got an outcome of its own.
        """
        if len(events) == 1:
            return [await self._start(events[0])]
        starts = [asyncio.ensure_future(self._start(event)) for event in events]
        try:
            await asyncio.wait(starts)
        finally:
            for task in starts:
                task.cancel()
            results = await asyncio.gather(*starts, return_exceptions=True)
        return _outcomes(results)

    async def _start(self, event: Event) -> Outcome:
        payload = self._starter.payload(event)
        most = self.traits.event_bytes
        if most is not None and len(payload) > most:
            return _too_large(self.traits.name, len(payload), most)
        async with self._free:
            return await self._starter.start(event, payload)


def _too_large(name: str, size: int, most: int) -> Reject:
    return Reject(TOO_LARGE, f"the event has {size} bytes and {name} accepts at most {most}")


def _outcomes(results: Sequence[Outcome | BaseException]) -> list[Outcome]:
    """The outcomes if any event got one; the others are retried. Else the first failure."""
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Unavailable | BatchRefused):
            raise result
    failures = [result for result in results if isinstance(result, Unavailable)]
    if len(failures) == len(results):
        raise failures[0]
    return [
        result
        if isinstance(result, Delivered | Retry | Reject)
        else Retry(str(result), _after(result))
        for result in results
    ]


def _after(error: BaseException) -> float | None:
    return error.after if isinstance(error, Unavailable) else None
