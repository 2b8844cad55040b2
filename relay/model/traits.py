"""Traits: what a destination promises about itself, and what follows from it for the relay.

A destination makes a start idempotent in its own way and for its own time. These few words are all
that the rest of the relay knows of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from relay.model.destination import Destination, Limits

WHILE_IT_EXISTS = math.inf
"""An id is remembered for as long as what it started exists there."""

MARGIN = 3_600.0
"""Seconds before the end of its memory from which a destination is no longer relied on."""

_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """A destination described.

    Attributes:
        name: what people call it.
        recognised_by: what the destination knows a repeated event by; None where by nothing.
        remembered: seconds for which it knows an id again, `LIVES`, or 0 where never.
        durable: a success survives a crash of the destination right after it.
        tells_duplicates: a repeat is answered differently from a first time.
        atomic: a request of several events is taken as a whole or not at all.
        largest_batch: most events in one request.
        event_bytes: most bytes of one event as it is sent; None where nobody knows of a limit.
        batch_bytes: most bytes of one request; None where only the events' own sizes count.
    """

    name: str
    recognised_by: str | None
    dedup_window: float
    durable: bool
    reports_duplicates: bool = False
    atomic: bool = True
    max_batch_events: int = 1
    event_bytes: int | None = None
    batch_bytes: int | None = None

    def limits(self, in_flight: int) -> Limits:
        """What one request may hold, with so many of them under way at once."""
        size = Limits().max_bytes if self.batch_bytes is None else self.batch_bytes
        return Limits(max_events=self.max_batch_events, max_bytes=size, in_flight=in_flight)

    @property
    def safe_repeat_window(self) -> float:
        """Seconds after a first attempt in which another is surely known again; 0 where none is.

        The margin, a quarter of a short memory, covers clocks that differ and requests under way.
        """
        if self.recognised_by is None:
            return 0.0
        return self.dedup_window - min(MARGIN, self.dedup_window / 4)


class Described(Destination, Protocol):
    """A destination that tells what it is."""

    @property
    def traits(self) -> Traits:
        """What it promises."""
        ...


def warnings(traits: Traits, kept: float) -> Iterator[str]:
    """Sentences on what a person gives up with this destination; none where nothing.

    `kept` is how many seconds the queue keeps a message.
    """
    if traits.recognised_by is None:
        yield (
            f"{traits.name} knows no event again: one whose answer got lost on the way is started"
            " twice, so what it starts must be able to bear that"
        )
    elif traits.dedup_window < kept:
        yield (
            f"{traits.name} remembers an id for {_days(traits.dedup_window)} and the queue keeps"
            f" messages for {_days(kept)}: what comes back later than the former may run twice,"
            " unless RELAY_LEDGER_TABLE names a ledger"
        )
    if not traits.durable:
        yield (
            f"a success of {traits.name} is not on its disk yet: a crash of it loses what it had"
            " just acknowledged"
        )


def _days(seconds: float) -> str:
    count, unit = (seconds / _DAY, "day") if seconds >= _DAY else (seconds / 3_600, "hour")
    return f"{count:g} {unit}{'' if count == 1 else 's'}"
