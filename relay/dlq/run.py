"""A run: one pass over a dead-letter queue that brings away what is meant, losing nothing.

Of each batch: receive, back up, send, note what was taken, delete exactly that, note it. A kill at
any point leaves a letter in the queue, in its backup or in both, and a journal that knows which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.aws.sqs_values import tens
from relay.dlq.journal import Journal, JournalEntry
from relay.dlq.leases import Deleter, Leased
from relay.dlq.safeguards import GrowthGuard, RateLimit
from relay.dlq.scan import Scan
from relay.dlq.selection import ARRIVED, Counts, RunControl, Selection, Skipped
from relay.dlq.targets import L, Result, Target
from relay.dlq.triage import BEYOND, RETURNED, Deferred, Duplicate, Prepared, Triage

AT_ONCE = 2
"""Rounds of receives whose letters are under way at a time."""

COUNT_EVERY = 200
"""Letters between two looks at the counters: 0.005 requests for each."""


class Run(Generic[L]):
    """Carries one errand out.

    Args:
        queue: the dead-letter queue.
        scan: the pass over it.
        deletion: deletes what may be deleted of what is in hand.
        journal: of this run, or of the part of it before.
        road: where the letters go.
        errand: which ones.
        course: when to end.
        guard: ends it when the queue grows.
    """

    def __init__(
        self,
        queue: Queue,
        scan: Scan,
        deletion: Deleter,
        journal: Journal,
        road: Target[L],
        selection: Selection,
        control: RunControl,
        guard: GrowthGuard,
    ) -> None:
        self._queue = queue
        self._scan = scan
        self._deletion, self._holding = deletion, deletion.leases
        self._journal = journal
        self._road = road
        self._expected = selection.expected
        self._judge = Triage(selection, journal, road, fifo=queue.fifo)
        self._course = control
        self._guard = guard
        self._came = 0
        self._count_at = COUNT_EVERY
        self._later: list[Leased] = []
        self._sending = asyncio.Lock()
        self._error: AwsError | OSError | None = None
        self.counts = Counts()

    async def execute(self, pace: RateLimit, progress: Callable[[Counts], None]) -> Counts:
        """Go through the queue once, bring away what is meant and release the rest.

        Raises:
            AwsError: SQS refuses something that cannot be done without.
            OSError: the journal or the backup cannot be written.
        """
        try:
            async with self._holding.kept():
                await self._go_through(pace, progress)
                while self._later and not self._halted:
                    twins, self._later = self._later, []
                    await self._work(twins, pace)
                if self._error is not None:
                    raise self._error
                await self._deletion.finish()
        finally:
            self._conclude()
            progress(self.counts)
        return self.counts

    async def _go_through(self, pace: RateLimit, progress: Callable[[Counts], None]) -> None:
        """The pass. An error ends it only after what is under way has come to its end."""
        places = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            try:
                async for batch in self._scan:
                    await places.acquire()
                    task = group.create_task(self._one(batch, pace, progress, places))
                    if self._queue.fifo:
                        await task  # until then SQS hands out no more of these groups
            except AwsError as error:
                self._error = error

    @property
    def _halted(self) -> bool:
        """Whether nothing more may be sent, not even what was chosen."""
        stopped = self._course.stop.is_set() or self.counts.stopped is not None
        return stopped or self._error is not None

    async def _one(
        self,
        batch: Sequence[tuple[Leased, bool]],
        pace: RateLimit,
        progress: Callable[[Counts], None],
        places: asyncio.Semaphore,
    ) -> None:
        """A batch. Its failure ends the pass, and lets the others under way come to their end."""
        try:
            self.counts.met += sum(not again for _, again in batch)
            await self._batch(batch, pace)
            await self._look_around()
            progress(self.counts)
        except (AwsError, OSError) as error:
            self._error = self._error or error
            self._course.enough = True
        finally:
            places.release()

    async def _batch(self, batch: Sequence[tuple[Leased, bool]], pace: RateLimit) -> None:
        for leased, _ in batch:
            self._holding.take(leased)
        brought = self._journal.brought
        ids = [leased.message.message_id for leased, _ in batch]
        # Brought before a kill, or met again because its lease ran out: it is only to be deleted.
        await self._deletion.delete([message_id for message_id in ids if message_id in brought])
        fresh = [leased for leased, again in batch if not again]
        await self._work([item for item in fresh if item.message.message_id not in brought], pace)

    async def _work(self, fresh: Sequence[Leased], pace: RateLimit) -> None:
        parcels: list[Prepared[L]] = []
        copies: list[Duplicate] = []
        try:
            for leased in fresh:
                self._sort(await self._judge.judge(leased, ended=self._halted), parcels, copies)
            done = await self._bring(parcels, copies, pace)
        finally:
            for parcel in parcels:
                self._judge.arrived(parcel)
        await self._deletion.delete(done)

    def _sort(
        self,
        verdict: Prepared[L] | Duplicate | Deferred | Skipped,
        parcels: list[Prepared[L]],
        copies: list[Duplicate],
    ) -> None:
        if isinstance(verdict, Prepared):
            parcels.append(verdict)
        elif isinstance(verdict, Duplicate):
            copies.append(verdict)
        elif isinstance(verdict, Deferred):
            self._later.append(verdict.leased)
        else:
            self._stay(verdict)

    def _stay(self, stays: Skipped) -> None:
        self.counts.stay(stays)
        self._came += stays.code in (ARRIVED, RETURNED.code)
        self._course.enough = self._course.enough or self._judge.full

    async def _bring(
        self, parcels: Sequence[Prepared[L]], copies: Sequence[Duplicate], pace: RateLimit
    ) -> list[str]:
        """Back up, send and note. Returns the MessageIds that may be deleted now."""
        if not parcels and not copies:
            return []
        both: list[Prepared[Any] | Duplicate] = [*parcels, *copies]
        await self._journal.back_up(item.leased.message for item in both)
        done = [_brought(copy, None) for copy in copies]
        self._journal.note_brought(done)
        self.counts.copies += len(copies)
        for some in tens(parcels):
            await pace.turn(len(some))
            done += await self._send(some)
        await self._journal.commit()
        return [letter.message_id for letter in done]

    async def _send(self, parcels: Sequence[Prepared[L]]) -> list[JournalEntry]:
        # One at a time between the send and its note: no more than a batch is ever repeated.
        async with self._sending:
            if self._halted:
                for _ in parcels:
                    self._stay(BEYOND)
                return []
            results = await self._road.carry([parcel.load for parcel in parcels])
            brought = [self._account(p, r) for p, r in zip(parcels, results, strict=True)]
            noted = [letter for letter in brought if letter is not None]
            self._journal.note_brought(noted)
        return noted

    def _account(self, parcel: Prepared[L], result: Result) -> JournalEntry | None:
        if isinstance(result, Skipped):
            self._stay(self._judge.stay(parcel.letter, result))
            return None
        if result.rest is not None:
            self.counts.stay(result.rest)
        else:
            self.counts.brought += 1
        return _brought(parcel, result.reference)

    async def _look_around(self) -> None:
        """Every now and then, see whether the queue fills up again behind us."""
        self.counts.deleted = self._deletion.count
        held = 0
        if self.counts.met >= self._count_at:
            self._count_at = self.counts.met + COUNT_EVERY
            counts = await self._queue.attributes()
            held = counts.visible + counts.in_flight + counts.delayed
        problem = self._guard.problem(held, self._deletion.count, self.counts.brought, self._came)
        if problem is not None and self.counts.stopped is None:
            self.counts.stopped = problem
            self._course.enough = True

    def _conclude(self) -> None:
        counts, reach = self.counts, self._scan.reach
        counts.deleted, counts.owed = self._deletion.count, self._deletion.owed
        counts.interrupted = self._course.stop.is_set()
        if not (self._course.ended() or self._error):
            counts.out_of_reach, counts.why = reach.left, reach.why
            counts.missing = 0 if reach.left else self._missing()

    def _missing(self) -> int:
        """How many of the expected were not there, nor brought by this run before."""
        left = self._expected - self._journal.brought
        return sum(not self._scan.met(message_id) for message_id in left)


def _brought(item: Prepared[Any] | Duplicate, reference: str | None) -> JournalEntry:
    message = item.leased.message
    return JournalEntry(
        message.message_id,
        item.identity,
        message.first_received_at,
        item.letter.hops,
        reference,
    )
