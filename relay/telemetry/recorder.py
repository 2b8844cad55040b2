"""Counts facts for the metrics, without blocking and in bounded memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from http import HTTPStatus

from relay.model.facts import (
    DeadLettered,
    DeadLetterTooLarge,
    DeletedLate,
    EventsAccepted,
    EventsRefused,
    Extended,
    Forwarded,
    Handled,
    IdReused,
    LedgerFailed,
    ProcessEnded,
    Received,
    RejectHeld,
)
from relay.model.message import Message
from relay.model.origin import ATTRIBUTE, UnreadableOrigin, origin_of
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from relay.telemetry import metrics
from relay.telemetry.observers import FactHandlers, one_by_one
from relay.telemetry.report import Window, rounded

AMBIGUOUS = "ambiguous"
"""The code of an event that may have run and that neither destination nor ledger remembers."""

MAX_PENDING_AGES = 1_000
"""Ages that are kept unsorted before they are added to the histogram."""


class Recorder:
    """Counts facts until the next `take`.

    `queue` is the queue's name in the first message, None before it.

    Args:
        slo: seconds after a message's first send within which an event is in time.
    """

    def __init__(self, *, slo: float = metrics.SLO_SECONDS) -> None:
        self._slo = slo
        self._window = Window()
        self.queue: str | None = None
        # Counted for each message; added to the window when it is read.
        self._received = self._accepted = self._duplicates = self._late = self._undated = 0
        self._ages: list[float] = []
        self.handlers: FactHandlers = {
            Received: self._count_received,
            Handled: self._count_handled,
            Forwarded: one_by_one(self._forwarded),
            DeadLettered: one_by_one(self._dead_lettered),
            DeadLetterTooLarge: one_by_one(self._too_large),
            RejectHeld: one_by_one(self._reject_held),
            Extended: one_by_one(self._extended),
            DeletedLate: one_by_one(self._deleted_late),
            LedgerFailed: one_by_one(self._ledger_failed),
            IdReused: one_by_one(self._id_reused),
            ProcessEnded: one_by_one(self._process_ended),
            EventsAccepted: one_by_one(self._events_accepted),
            EventsRefused: one_by_one(self._events_refused),
        }

    def end_round(self) -> None:
        """Add the ages to the window once there are many of them."""
        if len(self._ages) > MAX_PENDING_AGES:
            self._add_up()

    def count(self, metric: metrics.Metric, amount: int = 1) -> None:
        """Add to a counter."""
        self._window.counters[metric.name, ""] += amount

    def add(self, window: Window) -> None:
        """Add the counts of another recorder."""
        self._window.add(window)

    @property
    def window(self) -> Window:
        """The counts since the last `take`, for reading only."""
        self._add_up()
        return self._window

    def take(self) -> Window:
        """The counts since the last call."""
        self._add_up()
        taken, self._window = self._window, Window()
        return taken

    # The two facts of every message are counted in variables: calling `count` for each of them
    # would take more than twice as long.

    def _count_received(self, facts: Iterator[Received]) -> None:
        received = 0
        try:
            for fact in facts:
                received += 1
                if fact.message.attributes or self.queue is None:
                    self._inspect(fact.message)
        finally:
            self._received += received

    def _inspect(self, message: Message) -> None:
        self.queue = self.queue or message.queue or None
        # A later receive of the same message is not another redrive.
        if message.receive_count == 1 and message.attribute(ATTRIBUTE):
            self.count(metrics.REDRIVEN)

    def _count_handled(self, facts: Iterator[Handled]) -> None:
        accepted = duplicates = late = undated = 0
        ages, slo = self._ages, self._slo
        try:
            for fact in facts:
                message, at, sent = fact.message, fact.at, fact.message.sent_at
                if message.attributes or sent is None:
                    sent = _first_sent(message)
                for event, outcome in fact.results:
                    if type(outcome) is not Delivered:
                        self._undelivered(outcome, fact.outcome)
                    elif outcome.duplicate:
                        duplicates += 1
                    else:
                        accepted += 1
                        if sent is None:
                            undated += 1
                        elif at - sent > slo:
                            late += 1
                        since = sent if event.ts is None else event.ts / 1_000
                        if since is not None:
                            ages.append(at - since)
                if fact.rejects or not fact.results:
                    self._count_undecoded(fact)
        finally:
            self._accepted += accepted
            self._duplicates += duplicates
            self._late += late
            self._undated += undated

    def _undelivered(self, outcome: Outcome, message_outcome: Outcome) -> None:
        if isinstance(outcome, Reject) and isinstance(message_outcome, Reject):
            self._rejected(outcome)
        else:
            # A rejection that could not be dead-lettered yet: the whole message is retried.
            self.count(metrics.RETRIED)

    def _count_undecoded(self, fact: Handled) -> None:
        """Count events that could not be decoded, and a message that could not be."""
        rejected = isinstance(fact.outcome, Reject)
        if rejected:
            for _, reject in fact.rejects:
                self._rejected(reject)
        if not fact.results and not (rejected and fact.rejects):
            self._count_undecoded_message(fact.outcome)

    def _count_undecoded_message(self, outcome: Outcome) -> None:
        """Count a message that was not decoded as one event."""
        if isinstance(outcome, Reject):
            self._rejected(outcome)
        elif isinstance(outcome, Retry):
            self.count(metrics.RETRIED)

    def _rejected(self, reject: Reject) -> None:
        self._window.counters[metrics.REJECTED.name, reject.code] += 1
        if reject.code == AMBIGUOUS:
            self.count(metrics.AMBIGUOUS)

    def _forwarded(self, fact: Forwarded) -> None:
        self._measure(metrics.FORWARD_LATENCY.name, fact.seconds)
        self._measure(metrics.BATCH_SIZE.name, fact.events)

    def _dead_lettered(self, fact: DeadLettered) -> None:
        self._window.counters[metrics.DEAD_LETTERED.name, fact.code] += 1
        if fact.kept == "truncated":
            self.count(metrics.DEAD_LETTERS_TOO_LARGE)

    def _too_large(self, _fact: DeadLetterTooLarge) -> None:
        self.count(metrics.DEAD_LETTERS_TOO_LARGE)

    def _reject_held(self, fact: RejectHeld) -> None:
        self._window.counters[metrics.REJECTS_HELD.name, fact.code] += 1

    def _extended(self, fact: Extended) -> None:
        self.count(metrics.VISIBILITY_EXTENSIONS, fact.count)

    def _deleted_late(self, _fact: DeletedLate) -> None:
        self.count(metrics.LATE_DELETES)

    def _ledger_failed(self, fact: LedgerFailed) -> None:
        self.count(metrics.LEDGER_FAILURES, fact.count)

    def _id_reused(self, _fact: IdReused) -> None:
        self.count(metrics.IDS_REUSED)

    def _process_ended(self, _fact: ProcessEnded) -> None:
        self.count(metrics.PROCESS_RESTARTS)

    def _events_accepted(self, fact: EventsAccepted) -> None:
        self.count(metrics.GATEWAY_ACCEPTED, fact.events)
        self._measure(metrics.GATEWAY_LATENCY.name, fact.seconds)

    def _events_refused(self, fact: EventsRefused) -> None:
        temporary = fact.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        metric = metrics.GATEWAY_UNAVAILABLE if temporary else metrics.GATEWAY_REFUSED
        self._window.counters[metric.name, fact.code] += 1

    def _add_up(self) -> None:
        """Add the counts of messages and their ages to the window."""
        for metric, amount in (
            (metrics.RECEIVED, self._received),
            (metrics.DELIVERED, self._accepted + self._duplicates),
            (metrics.DUPLICATES, self._duplicates),
            (metrics.DELIVERED_IN_SLO, self._accepted - self._late - self._undated),
            (metrics.DELIVERED_LATE, self._late),
        ):
            if amount:
                self.count(metric, amount)
        self._received = self._accepted = self._duplicates = self._late = self._undated = 0
        ages, self._ages = sorted(self._ages), []
        start = 0
        while start < len(ages):
            value = rounded(ages[start])
            end = bisect_right(ages, value, start, key=rounded)
            self._window.histograms[metrics.END_TO_END_AGE.name][value] += end - start
            start = end

    def _measure(self, name: str, value: float) -> None:
        self._window.histograms[name][rounded(value)] += 1


def _first_sent(message: Message) -> float | None:
    """When the message was first sent, before any dead-lettering."""
    try:
        past = origin_of(message)
    except UnreadableOrigin:
        past = None
    if past is not None and past.sent_at is not None:
        return past.sent_at
    return message.sent_or_received_at
