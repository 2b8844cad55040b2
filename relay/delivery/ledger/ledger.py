"""The ledger: answers for events that the orchestrator has forgotten, and never holds one up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from msgspec.structs import replace

from relay.delivery.handler import Forward
from relay.delivery.ledger.attempts import Attempt, Attempts
from relay.delivery.ledger.entries import Known, LedgerEntries
from relay.delivery.ledger.table import Subject
from relay.model.event import Event
from relay.model.facts import Fact, IdReused, LedgerFailed, Observe, Settled, ignore
from relay.model.lru import LruCache
from relay.model.outcome import Delivered, Outcome, Reject

DOUBTS = 50_000
"""Events that may have been taken. A forgotten one loses its mark, nothing else."""

LETTERS = 1_000
"""Dead letters that are being noted at once."""


class Ledger:
    """Forwards what was not delivered yet. `Noting` must be between the forwarder and its end.

    What was delivered before is not sent again. What was being sent is, for as long as the
    destination remembers its id; after that it is rejected as `ambiguous`, and a person decides.
    A destination that knows nothing again gets it again at any age: repeating beats losing. Where
    the table cannot answer in time, the event is forwarded as if there were no ledger.

    Args:
        forward: brings events to their outcomes.
        records: keeps the notes.
        attempts: shared with `Noting`.
        memory: for how many seconds after a first attempt the event's destination surely knows it
            again; 0 for never.
        observe: is told of a reused id, and of dead letters that could not be noted.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        forward: Forward,
        records: LedgerEntries,
        attempts: Attempts,
        *,
        memory: Callable[[Event], float],
        observe: Observe = ignore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._forward = forward
        self._records = records
        self._attempts = attempts
        self._memory = memory
        self._observe = observe
        self._clock = clock
        self._doubts: LruCache[None] = LruCache(DOUBTS)
        self._letters: set[asyncio.Task[bool]] = set()

    async def submit(self, event: Event) -> Outcome:
        """The event's outcome, see `Forward.submit`; a duplicate where it was delivered before."""
        subject = self._records.subject(event)
        known = await self._records.look_up(subject)
        if known is not None:
            self._compare(event, subject, known)
            if known.delivered is not None:
                return Delivered(known.delivered.detail, duplicate=True)
        return await self._follow(event, Attempt(subject, known, self._memory(event)))

    def may_have_run(self, event_id: str) -> bool:
        """Whether the destination may hold the event although no success was seen."""
        return event_id in self._doubts or self._forward.may_have_run(event_id)

    def detail(self, fact: Fact) -> None:
        """Observe: note events whose message is in the dead-letter queue because of them."""
        if isinstance(fact, Settled) and isinstance(fact.outcome, Reject):
            for event, outcome in fact.results:
                if isinstance(outcome, Reject):
                    self._dead_lettered(event, outcome)

    async def drain(self) -> None:
        """Wait for the notes of dead letters that are on their way."""
        await asyncio.gather(*self._letters, return_exceptions=True)

    async def _follow(self, event: Event, attempt: Attempt) -> Outcome:
        rest = attempt.rest(self._clock())
        if rest is not None and rest <= 0:
            self._doubts.put(event.id, None)
            return _ambiguous(attempt)
        limit = asyncio.timeout(rest)
        outcome: Outcome | None = None
        try:
            with self._attempts.following(event, attempt):
                async with limit:
                    attempt.watch(limit)
                    outcome = await self._forward.submit(event)
        except TimeoutError:
            if not limit.expired():
                raise
            outcome = _ambiguous(attempt)
        finally:
            attempt.watch(None)
            self._remember(event, attempt, outcome)
        if isinstance(outcome, Reject) and attempt.doubtful:
            return replace(outcome, may_have_run=True)
        return outcome

    def _remember(self, event: Event, attempt: Attempt, outcome: Outcome | None) -> None:
        if isinstance(outcome, Delivered):
            self._doubts.forget(event.id)
        elif attempt.first_at is not None:
            self._doubts.put(event.id, None)

    def _compare(self, event: Event, subject: Subject, known: Known) -> None:
        notes = (known.delivered, known.sending)
        if any(record is not None and record.subject.digest != subject.digest for record in notes):
            self._observe(IdReused(event))

    def _dead_lettered(self, event: Event, reject: Reject) -> None:
        if len(self._letters) >= LETTERS:
            reason = "too many dead letters are being noted already"
            self._observe(LedgerFailed(step="dead-lettered", count=1, reason=reason))
            return
        subject = self._records.subject(event)
        noting = self._records.record("dead-lettered", subject, reject.code)
        task = asyncio.get_running_loop().create_task(noting)
        self._letters.add(task)
        task.add_done_callback(self._letters.discard)


def _ambiguous(attempt: Attempt) -> Reject:
    first = datetime.fromtimestamp(attempt.first_at or 0.0, UTC).isoformat(timespec="seconds")
    return Reject(
        "ambiguous",
        f"an attempt at {first} had an unknown end, and by now the orchestrator may have forgotten"
        " the id: if the event did not run, redrive it with --rerun",
        may_have_run=True,
    )
