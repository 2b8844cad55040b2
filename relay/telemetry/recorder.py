"""The recorder: counts facts. It never blocks, and its memory is bounded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from relay.facts import (
    CircuitChanged,
    DeadLettered,
    DeletedLate,
    Extended,
    Fact,
    Forwarded,
    IdReused,
    IntakeChanged,
    LedgerMissed,
    Received,
    Settled,
)
from relay.message import Delivered, Event, Message, Outcome, Reject, Retry
from relay.origin import ATTRIBUTE, UnreadableOrigin, origin_of
from relay.telemetry import table
from relay.telemetry.window import Window, rounded

AMBIGUOUS = "ambiguous"
"""The code of an event that may have run and that nobody remembers."""


class Recorder:
    """Observes facts and counts them until the next `take`.

    `circuit` and `intake` are the states that were last told. `queue` is the name in the first
    message, None before it.

    Args:
        slo: seconds from a message's first sending within which an event is in time.
        clock: seconds since the epoch.
    """

    def __init__(
        self, *, slo: float = table.SLO_SECONDS, clock: Callable[[], float] = time.time
    ) -> None:
        self._slo = slo
        self._clock = clock
        self._window = Window()
        self.circuit = "closed"
        self.intake = "open"
        self.queue: str | None = None
        self._ways: Mapping[type, Callable[[Any], None]] = {
            Received: self._received,
            Settled: self._settled,
            Forwarded: self._forwarded,
            DeadLettered: self._dead_lettered,
            Extended: self._extended,
            DeletedLate: self._deleted_late,
            CircuitChanged: self._circuit_changed,
            IntakeChanged: self._intake_changed,
            LedgerMissed: self._ledger_missed,
            IdReused: self._id_reused,
        }

    def observe(self, fact: Fact) -> None:
        """Count what the fact says, if it says anything that is counted."""
        way = self._ways.get(type(fact))
        if way is not None:
            way(fact)

    def count(self, metric: table.Metric, many: int = 1) -> None:
        """Add to a counter that no fact speaks of."""
        self._window.counters[metric.name, ""] += many

    @property
    def window(self) -> Window:
        """What was counted since the last `take`, to be looked at only."""
        return self._window

    def take(self) -> Window:
        """What was counted since the last call."""
        taken, self._window = self._window, Window()
        return taken

    def _received(self, fact: Received) -> None:
        message = fact.message
        self._add(table.RECEIVED.name)
        if self.queue is None:
            self.queue = message.queue or None
        # A later receive of the same message is no second return.
        if message.attributes and message.receive_count == 1 and message.attribute(ATTRIBUTE):
            self._add(table.REDRIVEN.name)

    def _settled(self, fact: Settled) -> None:
        rejected = isinstance(fact.outcome, Reject)
        for event, outcome in fact.results:
            if isinstance(outcome, Delivered):
                self._delivered(event, outcome, fact.message)
            elif rejected and isinstance(outcome, Reject):
                self._rejected(outcome)
            else:
                # A refusal that could not be dead-lettered yet comes again, whole.
                self._add(table.RETRIED.name)
        if rejected:
            for _, reject in fact.rejects:
                self._rejected(reject)
        if not fact.results and not (rejected and fact.rejects):
            self._whole(fact.outcome)

    def _whole(self, outcome: Outcome) -> None:
        """A message that was never taken apart counts as one event."""
        if isinstance(outcome, Reject):
            self._rejected(outcome)
        elif isinstance(outcome, Retry):
            self._add(table.RETRIED.name)

    def _delivered(self, event: Event, outcome: Delivered, message: Message) -> None:
        self._add(table.DELIVERED.name)
        if outcome.duplicate:
            self._add(table.DUPLICATES.name)
            return
        now = self._clock()
        sent = _first_sent(message)
        if sent is not None:
            late = now - sent > self._slo
            self._add(table.DELIVERED_LATE.name if late else table.DELIVERED_IN_SLO.name)
        since = event.ts / 1_000 if event.ts is not None else sent
        if since is not None:
            self._measure(table.END_TO_END_AGE.name, now - since)

    def _rejected(self, reject: Reject) -> None:
        self._add(table.REJECTED.name, reject.code)
        if reject.code == AMBIGUOUS:
            self._add(table.AMBIGUOUS.name)

    def _forwarded(self, fact: Forwarded) -> None:
        self._measure(table.FORWARD_LATENCY.name, fact.seconds)
        self._measure(table.BATCH_SIZE.name, fact.events)

    def _dead_lettered(self, fact: DeadLettered) -> None:
        self._add(table.DEAD_LETTERED.name, fact.code)

    def _extended(self, fact: Extended) -> None:
        self._window.counters[table.VISIBILITY_EXTENSIONS.name, ""] += fact.count

    def _deleted_late(self, _fact: DeletedLate) -> None:
        self._add(table.LATE_DELETES.name)

    def _circuit_changed(self, fact: CircuitChanged) -> None:
        self.circuit = fact.state

    def _intake_changed(self, fact: IntakeChanged) -> None:
        self.intake = fact.state

    def _ledger_missed(self, fact: LedgerMissed) -> None:
        self._window.counters[table.LEDGER_MISSES.name, ""] += fact.count

    def _id_reused(self, _fact: IdReused) -> None:
        self._add(table.IDS_REUSED.name)

    def _add(self, name: str, label: str = "") -> None:
        self._window.counters[name, label] += 1

    def _measure(self, name: str, value: float) -> None:
        self._window.histograms[name][rounded(value)] += 1


def _first_sent(message: Message) -> float | None:
    """When the message was first sent, before any dead-lettering."""
    if message.attributes:
        try:
            past = origin_of(message)
        except UnreadableOrigin:
            past = None
        if past is not None and past.sent_at is not None:
            return past.sent_at
    return message.began
