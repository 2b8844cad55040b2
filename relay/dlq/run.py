"""A run: one pass over a dead-letter queue that brings away what is meant, losing nothing.

Of each batch: receive, back up, send, note what was taken, delete exactly that, note it. A kill at
any point leaves a letter in the queue, in its backup or in both, and a journal that knows which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from relay.aws.batches import tens
from relay.aws.errors import QueueError
from relay.aws.sqs import Queue
from relay.dlq.deletion import Deletion
from relay.dlq.errand import Course, Errand
from relay.dlq.growth import Growth
from relay.dlq.holding import Leased
from relay.dlq.identity import Identity, Kinship, identify, kinship
from relay.dlq.journal import Brought, Journal
from relay.dlq.letter import Letter
from relay.dlq.pace import Pace
from relay.dlq.roads import Carried, L, Result, Road
from relay.dlq.scan import Scan
from relay.dlq.stays import BLOCKED, FILTERED, LIMIT, Stays
from relay.dlq.tally import Tally

AT_ONCE = 2
"""Rounds of receives whose letters are under way at a time; one of a FIFO queue."""

COUNT_EVERY = 200
"""Letters between two looks at the counters: 0.005 requests for each."""

RETURNED = Stays("returned", "it was brought back in this run and died again")


@dataclass(frozen=True, slots=True)
class Parcel(Generic[L]):
    """A letter that is to go."""

    leased: Leased
    letter: Letter
    identity: Identity
    load: L


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
        deletion: Deletion,
        journal: Journal,
        road: Road[L],
        errand: Errand,
        course: Course,
        guard: Growth,
    ) -> None:
        self._queue = queue
        self._scan = scan
        self._deletion, self._holding = deletion, deletion.holding
        self._journal = journal
        self._road = road
        self._errand = errand
        self._course = course
        self._guard = guard
        self._taken = 0
        self._came = 0
        self._count_at = COUNT_EVERY
        self._under_way: set[str] = set()
        self._again: list[Leased] = []
        self._blocked: set[str | None] = set()
        self._sending = asyncio.Lock()
        self._error: QueueError | OSError | None = None
        self.tally = Tally()

    async def carry_out(self, pace: Pace, progress: Callable[[Tally], None]) -> Tally:
        """Go through the queue once, bring away what is meant and release the rest.

        Raises:
            QueueError: SQS refuses something that cannot be done without.
            OSError: the journal or the backup cannot be written.
        """
        async with self._holding.kept():
            places = asyncio.Semaphore(1 if self._queue.fifo else AT_ONCE)
            async with asyncio.TaskGroup() as group:
                try:
                    async for batch in self._scan:
                        await places.acquire()
                        group.create_task(self._one(batch, pace, progress, places))
                except QueueError as error:
                    self._error = error  # what is under way comes to its end first
            while self._again and self._error is None and not self._course.stop.is_set():
                twins, self._again = self._again, []
                await self._work(twins, pace)
            if self._error is not None:
                raise self._error
            await self._deletion.finish()
        self._conclude()
        progress(self.tally)
        return self.tally

    async def _one(
        self,
        batch: Sequence[tuple[Leased, bool]],
        pace: Pace,
        progress: Callable[[Tally], None],
        places: asyncio.Semaphore,
    ) -> None:
        """A batch. Its failure ends the pass, and lets the others under way come to their end."""
        try:
            self.tally.met += sum(not again for _, again in batch)
            await self._batch(batch, pace)
            await self._look_around()
            progress(self.tally)
        except (QueueError, OSError) as error:
            self._error = self._error or error
            self._course.enough = True
        finally:
            places.release()

    async def _batch(self, batch: Sequence[tuple[Leased, bool]], pace: Pace) -> None:
        for leased, _ in batch:
            self._holding.take(leased)
        brought = self._journal.brought
        ids = [leased.message.message_id for leased, _ in batch]
        # Brought before a kill, or met again because its lease ran out: it is only to be deleted.
        await self._deletion.delete([message_id for message_id in ids if message_id in brought])
        fresh = [leased for leased, again in batch if not again]
        await self._work([item for item in fresh if item.message.message_id not in brought], pace)

    async def _work(self, fresh: Sequence[Leased], pace: Pace) -> None:
        parcels: list[Parcel[L]] = []
        copies: list[Parcel[None]] = []
        try:
            for leased in fresh:
                await self._judge(leased, parcels, copies)
            await pace.turn(len(parcels))
            done = await self._bring(parcels, copies)
        finally:
            self._under_way.difference_update(parcel.identity.about for parcel in parcels)
        await self._deletion.delete(done)

    async def _judge(
        self,
        leased: Leased,
        parcels: list[Parcel[L]],
        copies: list[Parcel[None]],
    ) -> None:
        """Sort the letter: it goes, it is a copy of one that went, it waits for one, it stays."""
        letter = await self._errand.read(leased.message)
        stays = self._errand.choose(letter, self._journal.began_at) or self._in_the_way(letter)
        if stays is not None:
            self._stay(letter, stays)
            return
        identity = self._identity(letter)
        twin = self._journal.twins.get(identity.about)
        if identity.about in self._under_way and not self._queue.fifo:
            self._again.append(leased)
            return
        if twin is not None:
            kin = kinship(letter, identity, twin, self._journal.began_at)
            if kin is Kinship.COPY:
                copies.append(Parcel(leased, letter, identity, None))
                return
            if kin is Kinship.RETURNED:
                self._came += 1
                self._stay(letter, RETURNED)
                return
        load = await self._load(letter)
        if isinstance(load, Stays):
            self._stay(letter, load)
        elif self._full():
            self._stay(letter, Stays(LIMIT, "the limit was reached"))
        else:
            self._taken += 1
            self._under_way.add(identity.about)
            parcels.append(Parcel(leased, letter, identity, load))

    def _identity(self, letter: Letter) -> Identity:
        return Identity(letter.message.message_id, "") if self._errand.each else identify(letter)

    async def _load(self, letter: Letter) -> L | Stays:
        altered = self._errand.alter(letter)
        return altered if isinstance(altered, Stays) else await self._road.ready(altered)

    def _full(self) -> bool:
        limit = self._errand.limit
        if limit is not None and self._taken >= limit:
            self._course.enough = True
        return self._course.enough

    def _in_the_way(self, letter: Letter) -> Stays | None:
        blocked = self._queue.fifo and letter.message.group_id in self._blocked
        return BLOCKED if blocked else None

    def _stay(self, letter: Letter, stays: Stays) -> None:
        self.tally.stay(stays)
        self._came += stays.code == "arrived"
        if self._queue.fifo and stays.code != FILTERED:
            self._blocked.add(letter.message.group_id)

    async def _bring(
        self, parcels: Sequence[Parcel[L]], copies: Sequence[Parcel[None]]
    ) -> list[str]:
        """Back up, send and note. Returns the MessageIds that may be deleted now."""
        if not parcels and not copies:
            return []
        both: list[Parcel[Any]] = [*parcels, *copies]
        await self._journal.back_up(parcel.leased.message for parcel in both)
        done = [_brought(copy, Carried()) for copy in copies]
        self._journal.note_brought(done)
        for some in tens(parcels):
            # One at a time between the send and its note: no more than a batch is ever repeated.
            async with self._sending:
                results = await self._road.carry([parcel.load for parcel in some])
                brought = [self._account(p, r) for p, r in zip(some, results, strict=True)]
                noted = [letter for letter in brought if letter is not None]
                self._journal.note_brought(noted)
            done += noted
        await self._journal.commit()
        self.tally.copies += len(copies)
        return [letter.message_id for letter in done]

    def _account(self, parcel: Parcel[L], result: Result) -> Brought | None:
        if isinstance(result, Stays):
            self._stay(parcel.letter, result)
            return None
        if result.rest is not None:
            self.tally.stay(result.rest)
        else:
            self.tally.brought += 1
        return _brought(parcel, result)

    async def _look_around(self) -> None:
        """Every now and then, see whether the queue fills up again behind us."""
        self.tally.deleted = self._deletion.count
        held = 0
        if self.tally.met >= self._count_at:
            self._count_at = self.tally.met + COUNT_EVERY
            counts = await self._queue.attributes()
            held = counts.visible + counts.in_flight + counts.delayed
        problem = self._guard.problem(held, self._deletion.count, self.tally.brought, self._came)
        if problem is not None and self.tally.stopped is None:
            self.tally.stopped = problem
            self._course.enough = True

    def _conclude(self) -> None:
        tally, reach = self.tally, self._scan.reach
        tally.deleted, tally.owed = self._deletion.count, self._deletion.owed
        tally.interrupted = self._course.stop.is_set()
        if not self._course.ended():
            tally.out_of_reach, tally.why = reach.left, reach.why


def _brought(parcel: Parcel[Any], result: Carried) -> Brought:
    message = parcel.leased.message
    return Brought(
        message.message_id,
        parcel.identity,
        message.first_received_at,
        parcel.letter.hops,
        result.reference,
    )
