"""The recorder: counts facts. It never blocks, and its memory is bounded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

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
from relay.message import Delivered, Message, Outcome, Reject, Retry
from relay.origin import ATTRIBUTE, UnreadableOrigin, origin_of
from relay.telemetry import table
from relay.telemetry.observers import Ways, spread
from relay.telemetry.window import Window, rounded

AMBIGUOUS = "ambiguous"
"""The code of an event that may have run and that nobody remembers."""

AGES = 1_000
"""Different ages that wait to be sorted."""

_RECEIVED, _DELIVERED, _DUPLICATES = (
    table.RECEIVED.name,
    table.DELIVERED.name,
    table.DUPLICATES.name,
)
_IN_SLO, _LATE = table.DELIVERED_IN_SLO.name, table.DELIVERED_LATE.name
_AGE = table.END_TO_END_AGE.name


class Recorder:
    """Observes facts and counts them until the next `take`.

    `circuit` and `intake` are the states that were last told. `queue` is the name in the first
    message, None before it.

    Args:
        slo: seconds from a message's first sending within which an event is in time.
    """

    def __init__(self, *, slo: float = table.SLO_SECONDS) -> None:
        self._slo = slo
        self._window = Window()
        self.circuit = "closed"
        self.intake = "open"
        self.queue: str | None = None
        # By the metric's name, and by milliseconds: what each event adds to.
        self._plain: defaultdict[str, int] = defaultdict(int)
        self._ages: defaultdict[int, int] = defaultdict(int)
        self._ways: Ways = {
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

    def hear(self, facts: Iterator[Fact]) -> None:
        """Count what the facts say, if it is anything that is counted."""
        spread(facts, self._ways)
        if len(self._ages) > AGES:
            self._add_up()

    def count(self, metric: table.Metric, many: int = 1) -> None:
        """Add to a counter that no fact speaks of."""
        self._plain[metric.name] += many

    @property
    def window(self) -> Window:
        """What was counted since the last `take`, to be looked at only."""
        self._add_up()
        return self._window

    def take(self) -> Window:
        """What was counted since the last call."""
        self._add_up()
        taken, self._window = self._window, Window()
        return taken

    def _received(self, fact: Received) -> None:
        message = fact.message
        self._plain[_RECEIVED] += 1
        if self.queue is None:
            self.queue = message.queue or None
        # A later receive of the same message is no second return.
        if message.attributes and message.receive_count == 1 and message.attribute(ATTRIBUTE):
            self._plain[table.REDRIVEN.name] += 1

    def _settled(self, fact: Settled) -> None:
        # Called for every message: it looks up and calls as little as it can.
        message, plain, now = fact.message, self._plain, fact.at
        sent = _first_sent(message) if message.attributes else message.sent_at
        if sent is None:
            sent = message.first_received_at
        for event, outcome in fact.results:
            if not isinstance(outcome, Delivered):
                self._undelivered(outcome, fact.outcome)
                continue
            plain[_DELIVERED] += 1
            if outcome.duplicate:
                plain[_DUPLICATES] += 1
                continue
            if sent is not None:
                plain[_LATE if now - sent > self._slo else _IN_SLO] += 1
            since = sent if event.ts is None else event.ts / 1_000
            if since is not None:
                self._ages[int((now - since) * 1_000 + 0.5)] += 1
        if fact.rejects or not fact.results:
            self._untried(fact)

    def _undelivered(self, outcome: Outcome, of_all: Outcome) -> None:
        if isinstance(outcome, Reject) and isinstance(of_all, Reject):
            self._rejected(outcome)
        else:
            # A refusal that could not be dead-lettered yet comes again, whole.
            self._plain[table.RETRIED.name] += 1

    def _untried(self, fact: Settled) -> None:
        """Events that were never read, and a message that was never taken apart."""
        rejected = isinstance(fact.outcome, Reject)
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
            self._plain[table.RETRIED.name] += 1

    def _rejected(self, reject: Reject) -> None:
        self._window.counters[table.REJECTED.name, reject.code] += 1
        if reject.code == AMBIGUOUS:
            self._plain[table.AMBIGUOUS.name] += 1

    def _forwarded(self, fact: Forwarded) -> None:
        self._measure(table.FORWARD_LATENCY.name, fact.seconds)
        self._measure(table.BATCH_SIZE.name, fact.events)

    def _dead_lettered(self, fact: DeadLettered) -> None:
        self._window.counters[table.DEAD_LETTERED.name, fact.code] += 1

    def _extended(self, fact: Extended) -> None:
        self._plain[table.VISIBILITY_EXTENSIONS.name] += fact.count

    def _deleted_late(self, _fact: DeletedLate) -> None:
        self._plain[table.LATE_DELETES.name] += 1

    def _circuit_changed(self, fact: CircuitChanged) -> None:
        self.circuit = fact.state

    def _intake_changed(self, fact: IntakeChanged) -> None:
        self.intake = fact.state

    def _ledger_missed(self, fact: LedgerMissed) -> None:
        self._plain[table.LEDGER_MISSES.name] += fact.count

    def _id_reused(self, _fact: IdReused) -> None:
        self._plain[table.IDS_REUSED.name] += 1

    def _add_up(self) -> None:
        """Bring what is counted in the simplest way into the window."""
        plain, self._plain = self._plain, defaultdict(int)
        for name, count in plain.items():
            self._window.counters[name, ""] += count
        ages, self._ages = self._ages, defaultdict(int)
        for milliseconds, count in ages.items():
            self._window.histograms[_AGE][rounded(milliseconds / 1_000)] += count

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
