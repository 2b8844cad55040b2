"""One by one: a destination out of something that starts a single event at a time."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

from relay.model.destination import Limits, Refused, Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from relay.model.traits import Traits

REFUSED = "refused_by_destination"
TOO_LARGE = "too_large_for_destination"


PREFIX = "relay"
DIGITS = 40
"""Hex digits of SHA-256 that are kept, 160 bits."""

_HEADER = re.compile(r"[!-~]([ -~]{0,254}[!-~])?")
_TEXT_BYTES = 255


def hashed(event_id: str) -> str:
    """46 lowercase letters, digits and one hyphen: a Kubernetes name, a Step Functions name."""
    digest = hashlib.sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{PREFIX}-{digest[:DIGITS]}"


def as_text(event_id: str) -> str:
    """The id itself where every system takes it as text, of 255 bytes at most; else its hash.

    An id that begins like a hash is hashed too, so that no two ids have one key.
    """
    encoded = event_id.encode("utf-8", "surrogatepass")
    plain = event_id.isprintable() and 0 < len(encoded) <= _TEXT_BYTES
    return event_id if plain and not event_id.startswith(f"{PREFIX}-") else hashed(event_id)


def as_header(event_id: str) -> str:
    """The id itself where it can be an HTTP header's value, else its hash."""
    fits = _HEADER.fullmatch(event_id)
    return event_id if fits and not event_id.startswith(f"{PREFIX}-") else hashed(event_id)


Content: TypeAlias = Literal["event", "data"]


def content(event: Event, what: Content) -> bytes:
    """JSON, the same bytes at each delivery: no receive count and no clock of the relay's in it."""
    if what == "event":
        return event.wire
    return b"{}" if event.data is None else event.data


def json_string(text: bytes) -> bytes:
    """JSON text as a JSON string, for interfaces whose parameters are text."""
    # The rest of it is legal in a string as it is: JSON text holds no raw control characters but
    # those between its tokens.
    for raw, escaped in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n"), (b"\r", b"\\r")):
        text = text.replace(raw, escaped)
    return b'"' + text.replace(b"\t", b"\\t") + b'"'


class Starter(Protocol):
    """What a destination of single events has to know; the rest is the same for all of them."""

    @property
    def traits(self) -> Traits:
        """What the destination promises."""
        ...

    def payload(self, event: Event) -> bytes:
        """What is sent of the event: the same bytes at each of its deliveries."""
        ...

    async def start(self, event: Event, payload: bytes) -> Outcome:
        """One attempt.

        Raises:
            Unavailable: the answer is none, or not one about this event.
        """
        ...


class OneByOne:
    """At most `in_flight` starts at once, whatever number of events a call brings.

    What is larger than the destination takes is rejected before anybody is asked.
    """

    def __init__(self, starter: Starter, in_flight: int) -> None:
        self._starter = starter
        self._limits = starter.traits.limits(in_flight)
        self._free = asyncio.Semaphore(in_flight)

    def __repr__(self) -> str:
        return f"<one by one to {self._starter.traits.name}>"

    @property
    def traits(self) -> Traits:
        """What the destination promises."""
        return self._starter.traits

    @property
    def limits(self) -> Limits:
        """What `send` takes at once."""
        return self._limits

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """An outcome for each event, in order.

        Raises:
            Unavailable: nobody got an answer of his own.
        """
        if len(events) == 1:
            return [await self._start(events[0])]
        starting = [asyncio.ensure_future(self._start(event)) for event in events]
        try:
            await asyncio.wait(starting)
        finally:
            for task in starting:
                task.cancel()
            ends = await asyncio.gather(*starting, return_exceptions=True)
        return _together(ends)

    async def _start(self, event: Event) -> Outcome:
        payload = self._starter.payload(event)
        most = self.traits.event_bytes
        if most is not None and len(payload) > most:
            return _oversize(self.traits.name, len(payload), most)
        async with self._free:
            return await self._starter.start(event, payload)


def _oversize(name: str, size: int, most: int) -> Reject:
    return Reject(TOO_LARGE, f"the event has {size} bytes and {name} takes {most} at most")


def _together(ends: Sequence[Outcome | BaseException]) -> list[Outcome]:
    """The outcomes where somebody got one; those that got none wait their turn again."""
    for end in ends:
        if isinstance(end, BaseException) and not isinstance(end, Unavailable | Refused):
            raise end
    silent = [end for end in ends if isinstance(end, Unavailable)]
    if len(silent) == len(ends):
        raise silent[0]
    return [
        end if isinstance(end, Delivered | Retry | Reject) else Retry(str(end), _after(end))
        for end in ends
    ]


def _after(end: BaseException) -> float | None:
    return end.after if isinstance(end, Unavailable) else None
