"""Traits of a destination: how it deduplicates, its limits and what it guarantees.

Each destination makes a start idempotent in its own way and for its own time. The rest of the relay
knows no more about it than these traits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from relay.model.destination import Destination, Limits

WHILE_IT_EXISTS = math.inf
"""The destination recognises an id for as long as what it started exists there."""

MARGIN = 3_600.0
"""Seconds before the end of the deduplication window in which it is not relied on any more."""

_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What the relay knows about a destination.

    Attributes:
        name: its name, for people.
        recognised_by: what the destination recognises a repeated event by; None if by nothing.
        dedup_window: seconds for which it recognises an id, `WHILE_IT_EXISTS`, or 0 if it never
            does.
        forgets_at_restart: it may forget all ids when it restarts, however short `dedup_window` is.
        durable: a success survives a crash of the destination right after it.
        reports_duplicates: the answer to a duplicate differs from that to a first event.
        atomic: a request of several events is accepted as a whole or not at all.
        max_batch_events: most events in one request.
        event_bytes: most bytes of one event as it is sent; None if no limit is known.
        batch_bytes: most bytes of one request; None if only the events' own sizes count.
    """

    name: str
    recognised_by: str | None
    dedup_window: float
    durable: bool
    forgets_at_restart: bool = False
    reports_duplicates: bool = False
    atomic: bool = True
    max_batch_events: int = 1
    event_bytes: int | None = None
    batch_bytes: int | None = None

    def limits(self, in_flight: int) -> Limits:
        """The limits of one request, with `in_flight` of them at once."""
        size = Limits().max_bytes if self.batch_bytes is None else self.batch_bytes
        return Limits(max_events=self.max_batch_events, max_bytes=size, in_flight=in_flight)

    @property
    def safe_repeat_window(self) -> float:
        """Seconds after a first attempt in which another one is certainly recognised, or 0.

        The margin, a quarter of a short window, covers clock skew and requests in flight. A
        destination that `forgets_at_restart` must not have restarted meanwhile.
        """
        if self.recognised_by is None:
            return 0.0
        return self.dedup_window - min(MARGIN, self.dedup_window / 4)


class DescribedDestination(Destination, Protocol):
    """A destination with its traits."""

    @property
    def traits(self) -> Traits:
        """The traits of the destination."""
        ...


def warnings(traits: Traits, retention: float) -> Iterator[str]:
    """A sentence for each guarantee that this destination lacks.

    `retention` is the queue's message retention in seconds.
    """
    if traits.recognised_by is None:
        yield (
            f"{traits.name} does not recognise a repeated event: an event whose answer is lost is"
            " started twice, so what it starts must be idempotent"
        )
    elif traits.dedup_window < retention:
        until = " at most and only until it restarts" if traits.forgets_at_restart else ""
        yield (
            f"{traits.name} remembers an id for {_days(traits.dedup_window)}{until}, and the queue"
            f" keeps messages for {_days(retention)}: an event that is sent again after that may"
            " run twice, unless RELAY_LEDGER_TABLE names a ledger"
        )
    if not traits.durable:
        yield (
            f"{traits.name} acknowledges events before they are on its disk: a crash of it loses"
            " those that it has just acknowledged"
        )


def _days(seconds: float) -> str:
    count, unit = (seconds / _DAY, "day") if seconds >= _DAY else (seconds / 3_600, "hour")
    return f"{count:g} {unit}{'' if count == 1 else 's'}"
