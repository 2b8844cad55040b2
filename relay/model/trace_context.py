"""W3C trace contexts: read from messages, sent with requests and, if configured, in the data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar

from relay.model.destination import Destination, Limits
from relay.model.event import Event, Json
from relay.model.outcome import Outcome

TRACEPARENT = "traceparent"
"""The header's and the attribute's name (W3C Trace Context, level 1)."""

current_traceparent: ContextVar[str | None] = ContextVar("current_traceparent", default=None)
"""The trace parent of the request that is being sent."""

_W3C = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII
)
_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})", re.ASCII)


def valid_traceparent(text: str | None) -> str | None:
    """The text if it is a valid trace parent, else None."""
    return text if text is not None and _W3C.fullmatch(text) else None


def from_x_ray(header: str | None) -> str | None:
    """The trace parent equivalent to AWS's trace header, or None.

    `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1` holds the same two
    ids in another format (X-Ray developer guide, tracing header). A header without a parent has no
    W3C equivalent: it names no span.
    """
    if not header:
        return None
    parts = dict(part.strip().partition("=")[::2] for part in header.split(";"))
    root = _ROOT.fullmatch(parts.get("Root", ""))
    if root is None:
        return None
    sampled = "01" if parts.get("Sampled") == "1" else "00"
    return valid_traceparent(f"00-{root[1]}{root[2]}-{parts.get('Parent')}-{sampled}")


def common_traceparent(events: Sequence[Event]) -> str | None:
    """The trace parent that all events share; None if they belong to several traces."""
    found = {event.trace for event in events}
    return found.pop() if len(found) == 1 else None


def traceparent_headers() -> Mapping[str, str]:
    """The headers to add to the request that is being sent."""
    parent = current_traceparent.get()
    return {} if parent is None else {TRACEPARENT: parent}


def with_traceparent(data: Json | None, trace: str | None) -> Json | None:
    """The JSON object with the trace parent as its first member, all else byte for byte.

    A member of that name in the producer's data comes later and wins. Without a trace, or if the
    data is not an object, nothing is changed.
    """
    if trace is None:
        return data
    text = bytes(data or b"null").strip()
    if text == b"null":
        return b'{"%b":"%b"}' % (TRACEPARENT.encode(), trace.encode())
    if not text.startswith(b"{"):
        return data
    rest = text[1:]
    comma = b"" if rest.lstrip().startswith(b"}") else b","
    return b'{"%b":"%b"%b%b' % (TRACEPARENT.encode(), trace.encode(), comma, rest)


class TracedDestination:
    """A destination whose requests carry the trace parent that their events share."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination

    @property
    def limits(self) -> Limits:
        """The limits of the destination."""
        return self._destination.limits

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Send the events with the trace parent that they share."""
        before = current_traceparent.set(common_traceparent(events))
        try:
            return await self._destination.send(events)
        finally:
            current_traceparent.reset(before)
