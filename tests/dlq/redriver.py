"""A redrive, composed as the command does it, without a process or thread of its own."""

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
from tests.dlq.queues import LocalQueues

RULES = Rules()


async def at_once(_seconds: float) -> None:
    """Do not wait, but let other tasks run."""
    await asyncio.sleep(0)


def no_progress(_counts: Counts) -> None:
    """Ignore the progress."""


class Redriver:
    """Redrives of one dead-letter queue. A journal in the same directory is resumed."""

    def __init__(self, queues: LocalQueues, directory: Path, suffix: str = "") -> None:
        self.queues = queues
        self.directory = directory
        self.names = (f"dead{suffix}", f"main{suffix}")
        self.stop = asyncio.Event()

    async def redrive(
        self,
        *,
        filters: Filter | None = None,
        edit: Edit | None = None,
        rerun: bool = False,
        limit: int | None = None,
        max_hops: int = MAX_HOPS,
        to: str | None = None,
        lease: float = 120.0,
        wait: float = 0.0,
        sleep: Callable[[float], Any] = at_once,
        progress: Callable[[Counts], None] = no_progress,
    ) -> Counts:
        """One pass."""
        dead, main = [await self.queues.queue(name) for name in self.names]
        chosen = filters or Filter()
        clock = self.queues.clock.time
        journal = Journal(self.directory, _head(dead, main), {"to": to}, clock=clock)
        selection = Selection(
            read=partial(_read, main.name),
            includes=chosen.matches,
            modify=partial(modify, rules=RULES, edit=edit, rerun=rerun),
            limit=limit,
            max_hops=max_hops,
        )
        async with AsyncExitStack() as stack:
            stack.callback(journal.close)

            fixed = None if to is None else await self.queues.queue(to)
            routes = Routes(dead, self.queues.queue, main=main, fixed=fixed)
            target = QueueTarget(routes.find, journal.id, sleep=sleep)
            control = RunControl(self.stop)
            leases = Leases(dead, lease)
            scan = Scan(
                dead,
                lease=lease,
                wait=wait,
                held_count=lambda: len(leases),
                stop=control.should_stop,
                sleep=sleep,
            )
            counts = await dead.attributes()
            guard = GrowthGuard(counts.visible + counts.in_flight, lag=0.0)
            deleter = Deleter(dead, leases, journal, sleep=sleep)
            run = Run(dead, scan, deleter, journal, target, selection, control, guard)
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
