"""Records each event's attempts in the ledger: `sending` before a request, its end afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from relay.delivery.ledger.entries import EventEntries, LedgerEntries
from relay.delivery.ledger.table import Subject
from relay.model.destination import BatchRefused, Destination, Limits, Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject


class Attempt:
    """The attempts at one event in flight.

    `memory` is the seconds for which the destination certainly recognises the event's id. If it is
    0 (never) or infinite, the age of an attempt does not matter and the event is sent again. With
    0 that means at least once.

    Attributes:
        subject: identifies the event in the ledger.
        first_at: when the destination may first have accepted it; None while it cannot have.
        may_have_run: whether an attempt had an unknown end.
        recorded: whether the ledger has a `sending` entry that this relay may withdraw.
        may_record: whether a look-up showed that a new entry overwrites no earlier one.
    """

    __slots__ = (
        "_deadline",
        "_memory",
        "first_at",
        "may_have_run",
        "may_record",
        "recorded",
        "subject",
    )

    def __init__(self, subject: Subject, entries: EventEntries | None, memory: float = 0.0) -> None:
        sending = entries.sending if entries is not None else None
        self.subject = subject
        self.first_at = sending.at if sending is not None else None
        self.may_have_run = sending is not None
        self.recorded = False
        self.may_record = entries is not None
        self._memory = memory or math.inf
        self._deadline: asyncio.Timeout | None = None

    def time_left(self, now: float) -> float | None:
        """Seconds until the destination may have forgotten the id; None if that does not matter."""
        if self.first_at is None or self._memory == math.inf:
            return None
        return self.first_at + self._memory - now

    def set_deadline(self, deadline: asyncio.Timeout | None) -> None:
        """Set the timeout of the wait, which the first unknown end schedules; None after it."""
        self._deadline = deadline

    def mark_may_have_run(self, now: float) -> None:
        """Record that an attempt had an unknown end."""
        self.may_have_run = True
        left = self.time_left(now)
        if left is not None and self._deadline is not None and self._deadline.when() is None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + left)

    def clear(self) -> None:
        """Record that the destination certainly has not accepted it."""
        self.first_at = None
        self.recorded = False


class Attempts:
    """The attempts of the events in flight. Equal events of two messages are kept apart."""

    def __init__(self) -> None:
        self._by_identity: dict[int, Attempt] = {}

    def of(self, event: Event) -> Attempt | None:
        """The attempts at exactly this event; None if no caller waits for it any more."""
        return self._by_identity.get(id(event))

    @contextlib.contextmanager
    def tracking(self, event: Event, attempt: Attempt) -> Iterator[None]:
        """Keep the attempt for as long as the block runs."""
        self._by_identity[id(event)] = attempt
        try:
            yield
        finally:
            self._by_identity.pop(id(event), None)


class RecordingDestination:
    """Records `sending` before an event's first request and `delivered` before its success counts.

    The `sending` entry is withdrawn if the request certainly was not accepted (a refused
    connection, a wrong key, a rejection), so that no outage or misconfiguration, however long,
    makes an event ambiguous. An event whose entry cannot be written is sent all the same.

    Args:
        destination: sends the requests.
        entries: writes the entries.
        attempts: what was looked up about the events in flight.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        destination: Destination,
        entries: LedgerEntries,
        attempts: Attempts,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._destination = destination
        self._entries = entries
        self._attempts = attempts
        self._clock = clock

    @property
    def limits(self) -> Limits:
        """The limits of the destination."""
        return self._destination.limits

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """One request of the destination, with its outcomes and exceptions."""
        attempts = [self._attempt(event) for event in events]
        await self._begin(attempts)
        try:
            outcomes = await self._destination.send(events)
        except (Unavailable, BatchRefused) as error:
            await self._failed(attempts, not_accepted=error.not_accepted)
            raise
        except BaseException:
            self._mark_may_have_run(attempts)
            raise
        await asyncio.gather(*map(self._end, attempts, outcomes))
        return outcomes

    def _attempt(self, event: Event) -> Attempt:
        # An event whose caller has left meanwhile still needs its `delivered` entry.
        attempt = self._attempts.of(event)
        return Attempt(self._entries.subject(event), None) if attempt is None else attempt

    async def _begin(self, attempts: Sequence[Attempt]) -> None:
        now = self._clock()
        fresh = [attempt for attempt in attempts if attempt.first_at is None]
        for attempt in fresh:
            attempt.first_at = now
        await asyncio.gather(
            *(self._record_sending(attempt) for attempt in fresh if attempt.may_record)
        )

    async def _record_sending(self, attempt: Attempt) -> None:
        attempt.recorded = await self._entries.record("sending", attempt.subject)

    async def _failed(self, attempts: Sequence[Attempt], *, not_accepted: bool) -> None:
        if not_accepted:
            await asyncio.gather(*(self._clear(attempt) for attempt in attempts))
        else:
            self._mark_may_have_run(attempts)

    async def _end(self, attempt: Attempt, outcome: Outcome) -> None:
        if isinstance(outcome, Delivered):
            await self._entries.record("delivered", attempt.subject, outcome.reference)
        elif isinstance(outcome, Reject) and not outcome.may_have_run:
            await self._clear(attempt)
        else:
            self._mark_may_have_run([attempt])

    async def _clear(self, attempt: Attempt) -> None:
        if attempt.may_have_run:
            return
        recorded = attempt.recorded
        attempt.clear()
        if recorded:
            await self._entries.withdraw(attempt.subject)

    def _mark_may_have_run(self, attempts: Iterable[Attempt]) -> None:
        now = self._clock()
        for attempt in attempts:
            attempt.mark_may_have_run(now)
