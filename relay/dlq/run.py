"""A run: one pass over a dead-letter queue that sends what is selected to its target.

For each batch: receive, back up, send, record what the target accepted, delete exactly that, record
the deletion. A kill at any point leaves a dead letter in the queue, in its backup or in both, and
the journal says which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.aws.sqs_values import batches_of_ten
from relay.dlq.journal import Journal, JournalEntry
from relay.dlq.leases import Deleter, Leased
from relay.dlq.safeguards import GrowthGuard, RateLimit
from relay.dlq.scan import Scan
from relay.dlq.selection import ARRIVED, Counts, RunControl, Selection, Skipped
from relay.dlq.targets import P, Result, Target
from relay.dlq.triage import AFTER_END, DEAD_LETTERED_AGAIN, Deferred, Duplicate, Prepared, Triage

CONCURRENT_BATCHES = 2
"""Batches of received dead letters that are processed at the same time."""

CHECK_EVERY = 200
"""Dead letters between two checks of the queue's counters: 0.005 requests for each."""


class Run(Generic[P]):
    """Executes one selection.

    Args:
        queue: the dead-letter queue.
        scan: the pass over it.
        deleter: deletes what may be deleted; it has the leases.
        journal: of this run; it also has what an earlier part of the run did.
        target: where the dead letters go.
        selection: which ones.
        control: when to end.
        guard: ends the run when the queue grows.
    """

    def __init__(
        self,
        queue: Queue,
        scan: Scan,
        deleter: Deleter,
        journal: Journal,
        target: Target[P],
        selection: Selection,
        control: RunControl,
        guard: GrowthGuard,
    ) -> None:
        self._queue = queue
        self._scan = scan
        self._deleter, self._leases = deleter, deleter.leases
        self._journal = journal
        self._target = target
        self._expected = selection.expected
        self._triage = Triage(selection, journal, target, fifo=queue.fifo)
        self._control = control
        self._guard = guard
        self._arrived = 0
        self._check_at = CHECK_EVERY
        self._deferred: list[Leased] = []
        self._sending = asyncio.Lock()
        self._error: AwsError | OSError | None = None
        self.counts = Counts()

    async def execute(self, rate: RateLimit, progress: Callable[[Counts], None]) -> Counts:
        """Go through the queue once, send what is selected and release the rest.

        Raises:
            AwsError: SQS refuses something that the run cannot do without.
            OSError: the journal or the backup cannot be written.
        """
        try:
            async with self._leases.extended():
                await self._scan_queue(rate, progress)
                while self._deferred and not self._halted:
                    deferred, self._deferred = self._deferred, []
                    await self._process(deferred, rate)
                if self._error is not None:
                    raise self._error
                await self._deleter.finish()
        finally:
            self._finish_counts()
            progress(self.counts)
        return self.counts

    async def _scan_queue(self, rate: RateLimit, progress: Callable[[Counts], None]) -> None:
        """The pass. After an error it ends only when the batches under way have ended."""
        slots = asyncio.Semaphore(CONCURRENT_BATCHES)
        async with asyncio.TaskGroup() as group:
            try:
                async for batch in self._scan:
                    await slots.acquire()
                    task = group.create_task(self._batch(batch, rate, progress, slots))
                    if self._queue.fifo:
                        await task  # until then SQS hands out no more of these groups
            except AwsError as error:
                self._error = error

    @property
    def _halted(self) -> bool:
        """Whether nothing more may be sent, not even what was selected already."""
        stopped = self._control.stop.is_set() or self.counts.stopped is not None
        return stopped or self._error is not None

    async def _batch(
        self,
        batch: Sequence[tuple[Leased, bool]],
        rate: RateLimit,
        progress: Callable[[Counts], None],
        slots: asyncio.Semaphore,
    ) -> None:
        """Process a batch. Its failure ends the pass; other batches under way end normally."""
        try:
            self.counts.received += sum(not again for _, again in batch)
            await self._process_batch(batch, rate)
            await self._check_growth()
            progress(self.counts)
        except (AwsError, OSError) as error:
            self._error = self._error or error
            self._control.finished = True
        finally:
            slots.release()

    async def _process_batch(self, batch: Sequence[tuple[Leased, bool]], rate: RateLimit) -> None:
        for leased, _ in batch:
            self._leases.add(leased)
        done = self._journal.done
        ids = [leased.message.message_id for leased, _ in batch]
        # Done before a kill, or received again because its lease lapsed: it is only deleted.
        await self._deleter.delete([message_id for message_id in ids if message_id in done])
        fresh = [leased for leased, again in batch if not again]
        await self._process([one for one in fresh if one.message.message_id not in done], rate)

    async def _process(self, fresh: Sequence[Leased], rate: RateLimit) -> None:
        prepared: list[Prepared[P]] = []
        duplicates: list[Duplicate] = []
        try:
            for leased in fresh:
                verdict = await self._triage.decide(leased, ended=self._halted)
                self._sort(verdict, prepared, duplicates)
            done = await self._back_up_and_send(prepared, duplicates, rate)
        finally:
            for one in prepared:
                self._triage.finished(one)
        await self._deleter.delete(done)

    def _sort(
        self,
        verdict: Prepared[P] | Duplicate | Deferred | Skipped,
        prepared: list[Prepared[P]],
        duplicates: list[Duplicate],
    ) -> None:
        if isinstance(verdict, Prepared):
            prepared.append(verdict)
        elif isinstance(verdict, Duplicate):
            duplicates.append(verdict)
        elif isinstance(verdict, Deferred):
            self._deferred.append(verdict.leased)
        else:
            self._skip(verdict)

    def _skip(self, skipped: Skipped) -> None:
        self.counts.skip(skipped)
        self._arrived += skipped.code in (ARRIVED, DEAD_LETTERED_AGAIN.code)
        self._control.finished = self._control.finished or self._triage.limit_reached

    async def _back_up_and_send(
        self, prepared: Sequence[Prepared[P]], duplicates: Sequence[Duplicate], rate: RateLimit
    ) -> list[str]:
        """Back up, send and record. Returns the MessageIds that may be deleted now."""
        if not prepared and not duplicates:
            return []
        both: list[Prepared[Any] | Duplicate] = [*prepared, *duplicates]
        await self._journal.back_up(one.leased.message for one in both)
        done = [_entry(duplicate, None) for duplicate in duplicates]
        self._journal.record_done(done)
        self.counts.duplicates += len(duplicates)
        for some in batches_of_ten(prepared):
            await rate.wait(len(some))
            done += await self._send(some)
        await self._journal.commit()
        return [entry.message_id for entry in done]

    async def _send(self, prepared: Sequence[Prepared[P]]) -> list[JournalEntry]:
        # One send at a time until it is recorded, so that a kill repeats no more than one batch.
        async with self._sending:
            if self._halted:
                for _ in prepared:
                    self._skip(AFTER_END)
                return []
            results = await self._target.send([one.outgoing for one in prepared])
            counted = [self._count(p, r) for p, r in zip(prepared, results, strict=True)]
            done = [entry for entry in counted if entry is not None]
            self._journal.record_done(done)
        return done

    def _count(self, prepared: Prepared[P], result: Result) -> JournalEntry | None:
        if isinstance(result, Skipped):
            self._skip(self._triage.skip(prepared.dead_letter, result))
            return None
        if result.remainder is not None:
            self.counts.skip(result.remainder)
        else:
            self.counts.done += 1
        return _entry(prepared, result.reference)

    async def _check_growth(self) -> None:
        """From time to time, check whether the queue fills up again during the run."""
        self.counts.deleted = self._deleter.count
        held = 0
        if self.counts.received >= self._check_at:
            self._check_at = self.counts.received + CHECK_EVERY
            queue = await self._queue.attributes()
            held = queue.visible + queue.in_flight + queue.delayed
        problem = self._guard.problem(held, self._deleter.count, self.counts.done, self._arrived)
        if problem is not None and self.counts.stopped is None:
            self.counts.stopped = problem
            self._control.finished = True

    def _finish_counts(self) -> None:
        counts, coverage = self.counts, self._scan.coverage
        counts.deleted, counts.not_deleted = self._deleter.count, self._deleter.not_deleted
        counts.interrupted = self._control.stop.is_set()
        if not (self._control.should_stop() or self._error):
            counts.not_received, counts.why = coverage.left, coverage.why
            counts.missing = 0 if coverage.left else self._missing()

    def _missing(self) -> int:
        """How many of the expected were neither in the queue nor done earlier in this run."""
        left = self._expected - self._journal.done
        return sum(not self._scan.has_received(message_id) for message_id in left)


def _entry(item: Prepared[Any] | Duplicate, reference: str | None) -> JournalEntry:
    message = item.leased.message
    return JournalEntry(
        message.message_id,
        item.identity,
        message.first_received_at,
        item.dead_letter.hops,
        reference,
    )
