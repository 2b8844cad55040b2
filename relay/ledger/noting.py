"""A destination whose requests are noted: before one, that it is under way; after it, its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

from relay.ledger.attempts import Attempt, Attempts
from relay.ledger.records import Records
from relay.message import (
    Delivered,
    Destination,
    Event,
    Limits,
    Outcome,
    Refused,
    Reject,
    Unavailable,
)


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
        records: Records,
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
            await self._failed(attempts, untaken=error.untaken)
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
        attempt.noted = await self._records.note("sending", attempt.subject)

    async def _failed(self, attempts: Sequence[Attempt], *, untaken: bool) -> None:
        if untaken:
            await asyncio.gather(*(self._clear(attempt) for attempt in attempts))
        else:
            self._doubt(attempts)

    async def _ended(self, attempts: Sequence[Attempt], outcomes: Sequence[Outcome]) -> None:
        await asyncio.gather(*map(self._end, attempts, outcomes))

    async def _end(self, attempt: Attempt, outcome: Outcome) -> None:
        if isinstance(outcome, Delivered):
            await self._records.note("delivered", attempt.subject, outcome.reference)
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
