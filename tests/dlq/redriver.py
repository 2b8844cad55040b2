"""One redrive, put together as the command does it, without a process or a thread of its own."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from relay.aws.sqs import Queue
from relay.dlq.dead_letter import DeadLetter, read_dead_letter
from relay.dlq.edit import Edit, modify
from relay.dlq.filters import Filter
from relay.dlq.journal import Journal
from relay.dlq.leases import Deleter, Leases
from relay.dlq.queue_target import QueueTarget
from relay.dlq.run import Run
from relay.dlq.safeguards import GrowthGuard, RateLimit
from relay.dlq.scan import Scan
from relay.dlq.selection import MAX_HOPS, Counts, RunControl, Selection
from relay.dlq.snapshot import Head
from relay.dlq.targets import Routes
from relay.envelope import Rules
from relay.model.message import Message
from tests.dlq.place import Place

RULES = Rules()


async def at_once(_seconds: float) -> None:
    """Wait for nothing, but let others have their turn."""
    await asyncio.sleep(0)


def never(_tally: Counts) -> None:
    """Nobody watches."""


class Desk:
    """Redrives of one dead-letter queue. A journal in the same directory is taken up."""

    def __init__(self, place: Place, directory: Path, suffix: str = "") -> None:
        self.place = place
        self.directory = directory
        self.names = (f"dead{suffix}", f"main{suffix}")
        self.stop = asyncio.Event()

    async def redrive(
        self,
        *,
        meant: Filter | None = None,
        edit: Edit | None = None,
        rerun: bool = False,
        limit: int | None = None,
        max_hops: int = MAX_HOPS,
        to: str | None = None,
        lease: float = 120.0,
        wait: float = 0.0,
        sleep: Callable[[float], Any] = at_once,
        progress: Callable[[Counts], None] = never,
    ) -> Counts:
        """One pass."""
        dead, main = [await self.place.queue(name) for name in self.names]
        chosen = meant or Filter()
        clock = self.place.clock.time
        journal = Journal(self.directory, _head(dead, main), {"to": to}, clock=clock)
        selection = Selection(
            read=partial(_read, main.name),
            meant=chosen.matches,
            modify=partial(modify, rules=RULES, edit=edit, rerun=rerun),
            limit=limit,
            max_hops=max_hops,
        )
        async with AsyncExitStack() as stack:
            stack.callback(journal.close)

            fixed = None if to is None else await self.place.queue(to)
            routes = Routes(dead, self.place.queue, main=main, fixed=fixed)
            target = QueueTarget(routes.of, journal.id, sleep=sleep)
            control = RunControl(self.stop)
            leases = Leases(dead, lease)
            scan = Scan(
                dead,
                lease=lease,
                wait=wait,
                held_count=lambda: len(leases),
                stop=control.ended,
                sleep=sleep,
            )
            counts = await dead.attributes()
            guard = GrowthGuard(counts.visible + counts.in_flight, lag=0.0)
            deletion = Deleter(dead, leases, journal, sleep=sleep)
            run = Run(dead, scan, deletion, journal, target, selection, control, guard)
            return await run.execute(RateLimit(None), progress)


async def _read(main: str, message: Message) -> DeadLetter:
    return read_dead_letter(message, RULES, main)


def _head(dead: Queue, main: Queue) -> Head:
    return Head(
        queue=dead.name,
        arn=dead.arn,
        taken_at=0.0,
        retention=1_209_600.0,
        fifo=dead.fifo,
        main=main.name,
    )
