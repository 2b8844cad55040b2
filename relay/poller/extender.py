"""The heartbeat: everything in hand stays hidden for as long as we and SQS want."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

from relay.aws.batches import tens
from relay.aws.errors import QueueError
from relay.aws.sqs import Queue
from relay.aws.values import Failed
from relay.facts import Extended, LeaseLost, Observe, ignore
from relay.poller.lease import Lease, Leases, Stage, now, renewal

LOOKS = 40.0
"""How often the leases are looked at within one visibility timeout."""

LONGEST_REST = 5.0

PARTS = 6
"""A request may take this part of a lease: begun at half of it, two more tries are left then."""

LONGEST_PATIENCE = 10.0
"""Seconds for one request."""


class Extender:
    """Extends each lease at about half its time, in tens, and tells which were lost.

    Args:
        queue: where the leases are from.
        leases: those in hand, the ones that wait for a slot too.
        visibility: seconds that each extension asks for, as far as SQS's 12 hours let it.
        lost: is called once for a lease that ended or was refused, unless it is being settled.
        observe: is told of extensions and of lost leases.
        clock: the clock that leases are counted by.
        sleep: waits on that clock.
        uniform: spreads the extensions, so that they don't all come at once.
    """

    def __init__(
        self,
        queue: Queue,
        leases: Leases,
        visibility: float,
        *,
        lost: Callable[[Lease], None],
        observe: Observe = ignore,
        clock: Callable[[], float] = now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._queue = queue
        self._leases = leases
        self._visibility = visibility
        self._lost = lost
        self._observe = observe
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform

    async def run(self) -> None:
        """Look at the leases for ever. A request without an answer delays none of the others."""
        rest = min(LONGEST_REST, self._visibility / LOOKS)
        async with asyncio.TaskGroup() as requests:
            while True:
                await self._sleep(rest)
                for leases in tens(self._due()):
                    request = requests.create_task(self._extend(leases))
                    request.add_done_callback(self._under_way(leases))

    def _under_way(self, leases: Sequence[Lease]) -> Callable[[object], None]:
        """Let nobody else change the visibility of these until what is returned is called."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for lease in leases:
            lease.extension = ended

        def end(_: object) -> None:
            ended.set_result(None)
            for lease in leases:
                lease.extension = None

        return end

    def _due(self) -> list[Lease]:
        """What is to be extended now. What has ended is given up: time may pass without us."""
        at, due = self._clock(), []
        for lease in self._leases:
            if lease.lost or lease.stage is Stage.SETTLING:
                continue
            if at >= lease.deadline:
                self._lose(lease)
            elif at >= lease.renew_at and lease.extension is None:
                due.append(lease)
        return due

    async def _extend(self, leases: Sequence[Lease]) -> None:
        start = self._clock()
        changes = [(one.handle, self._seconds(one, start)) for one in leases]
        results = await self._answers(changes)
        failed = 0
        for lease, (handle, seconds), result in zip(leases, changes, results, strict=True):
            if lease.handle == handle:  # another receive may have renewed it meanwhile
                self._note(lease, start, seconds, result)
            failed += result is not None
        self._observe(Extended(count=len(leases) - failed, failed=failed))

    async def _answers(self, changes: Sequence[tuple[str, float]]) -> list[Failed | None]:
        patience = min(LONGEST_PATIENCE, self._visibility / PARTS)
        try:
            async with asyncio.timeout(patience):
                return await self._queue.change_visibility(changes)
        except QueueError as error:
            return [Failed(error.code, error.sentence)] * len(changes)
        except TimeoutError:
            return [Failed("Unanswered", f"no answer in {patience:g} s")] * len(changes)

    def _note(self, lease: Lease, start: float, seconds: float, result: Failed | None) -> None:
        if result is None:
            lease.deadline = start + seconds
            at_the_end = seconds < self._visibility
            lease.renew_at = (
                float("inf") if at_the_end else renewal(start, self._visibility, self._uniform)
            )
        elif result.permanent and lease.stage is not Stage.SETTLING:
            self._lose(lease)
        else:
            # Tried again at the next looks, until it is granted or the lease has ended.
            lease.renew_at = start

    def _seconds(self, lease: Lease, at: float) -> float:
        return float(int(min(self._visibility, lease.longest(at))))

    def _lose(self, lease: Lease) -> None:
        lease.lost = True
        self._observe(LeaseLost(lease.message.message_id))
        self._lost(lease)
