"""A destination whose requests are noted: before one, that it is under way; after it, its end."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from relay.delivery.ledger.entries import Known, LedgerEntries
from relay.delivery.ledger.table import Subject
from relay.model.destination import Destination, Limits, Refused, Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject


class Attempt:
    """One event in hand.

    `memory` is for how many seconds the destination surely knows the event again. Where that is 0
    or for ever, age says nothing: it is sent again, at least once in the first case.

    Attributes:
        subject: which event it is to the ledger.
        first_at: when the destination may first have taken it, None while it cannot have.
        doubtful: whether an attempt ended in a way that leaves that open.
        noted: whether the ledger holds a note of sending that is ours to withdraw.
        may_note: whether a note overwrites none of an earlier time, as a look-up has shown.
    """

    __slots__ = ("_limit", "_memory", "doubtful", "first_at", "may_note", "noted", "subject")

    def __init__(self, subject: Subject, known: Known | None, memory: float = 0.0) -> None:
        sending = known.sending if known is not None else None
        self.subject = subject
        self.first_at = sending.at if sending is not None else None
        self.doubtful = sending is not None
        self.noted = False
        self.may_note = known is not None
        self._memory = memory or math.inf
        self._limit: asyncio.Timeout | None = None

    def rest(self, now: float) -> float | None:
        """Seconds until the destination may have forgotten it; None where it never will."""
        if self.first_at is None or self._memory == math.inf:
            return None
        return self.first_at + self._memory - now

    def watch(self, limit: asyncio.Timeout | None) -> None:
        """The limit of the wait for it, to be set by the first unknown end; None after the wait."""
        self._limit = limit

    def doubt(self, now: float) -> None:
        """An attempt had an unknown end."""
        self.doubtful = True
        rest = self.rest(now)
        if rest is not None and self._limit is not None and self._limit.when() is None:
            self._limit.reschedule(asyncio.get_running_loop().time() + rest)

    def clear(self) -> None:
        """The destination certainly has not taken it."""
        self.first_at = None
        self.noted = False


class Attempts:
    """The attempts by the event that is in hand. Another message's equal event is another one."""

    def __init__(self) -> None:
        self._by_identity: dict[int, Attempt] = {}

    def of(self, event: Event) -> Attempt | None:
        """The attempt at exactly this event; None where nobody waits for it any more."""
        return self._by_identity.get(id(event))

    @contextlib.contextmanager
    def following(self, event: Event, attempt: Attempt) -> Iterator[None]:
        """Know the attempt for as long as the block runs."""
        self._by_identity[id(event)] = attempt
        try:
            yield
        finally:
            self._by_identity.pop(id(event), None)


class Noting:
    """Notes `sending` before an event's first request, `delivered` before its success counts.

    A request that certainly was not taken (a refused connection, a wrong key, a rejection) has its
    note withdrawn: an outage or a wrong setting of any length makes no event ambiguous. What cannot
    be noted is sent all the same.

    Args:
        destination: makes the requests.
        records: keeps the notes.
        attempts: knows what was looked up about each event in hand.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        destination: Destination,
        records: LedgerEntries,
        attempts: Attempts,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._destination = destination
        self._records = records
        self._attempts = attempts
        self._clock = clock

    @property
    def limits(self) -> Limits:
        """What the destination takes at once."""
        return self._destination.limits

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """One request of the destination's, with its outcomes and its exceptions."""
        attempts = [self._attempt(event) for event in events]
        await self._begin(attempts)
        try:
            outcomes = await self._destination.send(events)
        except (Unavailable, Refused) as error:
            await self._failed(attempts, not_accepted=error.not_accepted)
            raise
        except BaseException:
            self._doubt(attempts)
            raise
        await self._ended(attempts, outcomes)
        return outcomes

    def _attempt(self, event: Event) -> Attempt:
        # One whose waiter has left meanwhile is still worth the note that it was delivered.
        known = self._attempts.of(event)
        return Attempt(self._records.subject(event), None) if known is None else known

    async def _begin(self, attempts: Sequence[Attempt]) -> None:
        now = self._clock()
        fresh = [attempt for attempt in attempts if attempt.first_at is None]
        for attempt in fresh:
            attempt.first_at = now
        await asyncio.gather(*(self._note(attempt) for attempt in fresh if attempt.may_note))

    async def _note(self, attempt: Attempt) -> None:
        attempt.noted = await self._records.record("sending", attempt.subject)

    async def _failed(self, attempts: Sequence[Attempt], *, not_accepted: bool) -> None:
        if not_accepted:
            await asyncio.gather(*(self._clear(attempt) for attempt in attempts))
        else:
            self._doubt(attempts)

    async def _ended(self, attempts: Sequence[Attempt], outcomes: Sequence[Outcome]) -> None:
        await asyncio.gather(*map(self._end, attempts, outcomes))

    async def _end(self, attempt: Attempt, outcome: Outcome) -> None:
        if isinstance(outcome, Delivered):
            await self._records.record("delivered", attempt.subject, outcome.reference)
        elif isinstance(outcome, Reject) and not outcome.may_have_run:
            await self._clear(attempt)
        else:
            self._doubt([attempt])

    async def _clear(self, attempt: Attempt) -> None:
        if attempt.doubtful:
            return
        noted = attempt.noted
        attempt.clear()
        if noted:
            await self._records.withdraw(attempt.subject)

    def _doubt(self, attempts: Iterable[Attempt]) -> None:
        now = self._clock()
        for attempt in attempts:
            attempt.doubt(now)
