"""The ledger: deduplicates events even after the orchestrator has forgotten their ids."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from msgspec.structs import replace

from relay.delivery.ledger.attempts import Attempt, Attempts
from relay.delivery.ledger.entries import EventEntries, LedgerEntries
from relay.delivery.ledger.table import Subject
from relay.model.destination import Forward, Listener
from relay.model.event import Event
from relay.model.facts import Fact, Handled, IdReused, LedgerFailed, Observe, ignore
from relay.model.lru import LruCache
from relay.model.outcome import Delivered, Outcome, Reject

MAX_MAY_HAVE_RUN = 50_000
"""Events that the destination may have accepted. A forgotten one loses that mark, nothing else."""

MAX_PENDING_DEAD_LETTERS = 1_000
"""Dead letters that are being recorded at the same time."""


class Ledger:
    """Forwards only events that were not delivered before.

    An event that was delivered is not sent again. An event with an attempt of unknown end is sent
    again for as long as the destination recognises its id, and after that rejected as `ambiguous`
    for a person to decide. A destination that recognises no ids gets it again at any age: repeating
    is better than losing. If the table does not answer in time, the event is forwarded as if there
    were no ledger. The forwarder must send through a `RecordingDestination`.

    Args:
        forward: forwards events.
        entries: reads and writes the ledger's entries.
        attempts: shared with `RecordingDestination`.
        memory: seconds after a first attempt for which the event's destination certainly recognises
            its id; 0 for never.
        observe: gets reused ids and dead letters that could not be recorded.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        forward: Forward,
        entries: LedgerEntries,
        attempts: Attempts,
        *,
        memory: Callable[[Event], float],
        observe: Observe = ignore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._forward = forward
        self._entries = entries
        self._attempts = attempts
        self._memory = memory
        self._observe = observe
        self._clock = clock
        self._may_have_run: LruCache[None] = LruCache(MAX_MAY_HAVE_RUN)
        self._pending: set[asyncio.Task[bool]] = set()

    def begin(self, event: Event, listener: Listener) -> None:
        """Nothing: each event has to be submitted, which looks it up before."""

    async def submit(self, event: Event) -> Outcome:
        """The event's outcome, see `Forward.submit`; a duplicate if it was delivered before."""
        subject = self._entries.subject(event)
        entries = await self._entries.look_up(subject)
        if entries is not None:
            self._compare(event, subject, entries)
            if entries.delivered is not None:
                return Delivered(entries.delivered.detail, duplicate=True)
        return await self._send(event, Attempt(subject, entries, self._memory(event)))

    def may_have_run(self, event_id: str) -> bool:
        """Whether the destination may have the event although no success was seen."""
        return event_id in self._may_have_run or self._forward.may_have_run(event_id)

    @property
    def down_for(self) -> float:
        """Seconds for which no event can be sent; 0 if one can, as a probe too."""
        return self._forward.down_for

    @property
    def down(self) -> bool:
        """Whether the destination is unavailable: an event can be sent as a probe at most."""
        return self._forward.down

    def observe(self, fact: Fact) -> None:
        """Record the rejected events of a message that was dead-lettered."""
        if isinstance(fact, Handled) and isinstance(fact.outcome, Reject):
            for event, outcome in fact.results:
                if isinstance(outcome, Reject):
                    self._record_dead_letter(event, outcome)

    async def drain(self, seconds: float | None = None) -> None:
        """Wait for the open writes of dead letters, for at most so many seconds if given."""
        if self._pending:
            await asyncio.wait(self._pending, timeout=seconds)

    async def _send(self, event: Event, attempt: Attempt) -> Outcome:
        left = attempt.time_left(self._clock())
        if left is not None and left <= 0:
            self._may_have_run.put(event.id, None)
            return _ambiguous(attempt)
        deadline = asyncio.timeout(left)
        outcome: Outcome | None = None
        try:
            with self._attempts.tracking(event, attempt):
                async with deadline:
                    attempt.set_deadline(deadline)
                    outcome = await self._forward.submit(event)
        except TimeoutError:
            if not deadline.expired():
                raise
            outcome = _ambiguous(attempt)
        finally:
            attempt.set_deadline(None)
            self._remember(event, attempt, outcome)
        if isinstance(outcome, Reject) and attempt.may_have_run:
            return replace(outcome, may_have_run=True)
        return outcome

    def _remember(self, event: Event, attempt: Attempt, outcome: Outcome | None) -> None:
        if isinstance(outcome, Delivered):
            self._may_have_run.forget(event.id)
        elif attempt.first_at is not None:
            self._may_have_run.put(event.id, None)

    def _compare(self, event: Event, subject: Subject, entries: EventEntries) -> None:
        both = (entries.delivered, entries.sending)
        if any(one is not None and one.subject.digest != subject.digest for one in both):
            self._observe(IdReused(event))

    def _record_dead_letter(self, event: Event, reject: Reject) -> None:
        if len(self._pending) >= MAX_PENDING_DEAD_LETTERS:
            reason = "too many dead letters are being recorded already"
            self._observe(LedgerFailed(step="dead-lettered", count=1, reason=reason))
            return
        subject = self._entries.subject(event)
        recording = self._entries.record("dead-lettered", subject, reject.code)
        task = asyncio.get_running_loop().create_task(recording)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)


def _ambiguous(attempt: Attempt) -> Reject:
    first = datetime.fromtimestamp(attempt.first_at or 0.0, UTC).isoformat(timespec="seconds")
    return Reject(
        "ambiguous",
        f"the outcome of an attempt at {first} is unknown, and the orchestrator may have forgotten"
        " the id since: if the event did not run, redrive it with --rerun",
        may_have_run=True,
    )
