"""`relay dlq redrive --native`: SQS's own move task, with its losses said first."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import typer

from relay.app.decoding import rules
from relay.aws.errors import AwsError
from relay.aws.move_tasks import COMPLETED, RUNNING, MoveTasks, open_move_tasks
from relay.aws.sqs import Queue, open_queue
from relay.cli.dlq.output import PARTIAL, STOPPED, Progress, stoppable
from relay.cli.dlq.pull import pulled
from relay.cli.dlq.queues import QueuePair, opened
from relay.cli.startup import USAGE, fail
from relay.dlq.dead_letter import read_dead_letter
from relay.dlq.snapshot import Snapshot
from relay.settings.model import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for; see the command's help."""

    to: str | None
    rate: float | None
    wait: float
    yes: bool
    allow_new_ids: bool


def run(settings: Settings, dlq: str | None, main: str | None, order: Order) -> None:
    """Move everything by a task of SQS, if nothing would run under a new id."""
    ended = asyncio.run(_run(settings, dlq, main, order))
    if ended is None:
        typer.echo("relay: nothing was touched; --yes does it", err=True)
        return
    typer.echo(f"{ended.moved} messages moved")
    if ended.problem is not None:
        typer.echo(f"relay: {ended.problem}", err=True)
        raise typer.Exit(PARTIAL)


async def _run(settings: Settings, dlq: str | None, main: str | None, order: Order) -> Moved | None:
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(opened(settings, dlq, main))
        target = await _target(desk, order.to, stack)
        for loss in (f"SQS would move everything in {desk.queue.name} to {target.name}.", *LOSSES):
            typer.echo(f"relay: {loss}", err=True)
        if not order.allow_new_ids:
            await _check_ids(settings, desk, order.wait)
        if not order.yes:
            return None
        rate = None if order.rate is None else max(1, int(order.rate))
        try:
            tasks = await stack.enter_async_context(open_move_tasks(desk.session, desk.queue))
            handle = await tasks.start(target.arn, rate)
            with stoppable() as stop, Progress("moved", total=desk.count) as progress:
                return await follow(tasks, handle, stop=stop, progress=progress.at)
        except AwsError as error:
            fail(error.sentence)


async def _target(desk: QueuePair, to: str | None, stack: AsyncExitStack) -> Queue:
    """The named destination: a task without one fails at messages that were sent to the queue."""
    if to is None and desk.main is None:
        fail("nothing tells where to: name the queue with --to", code=USAGE)
    if to is None and desk.main is not None:
        return desk.main
    try:
        return await stack.enter_async_context(open_queue(desk.session, to or ""))
    except AwsError as error:
        fail(error.sentence)


async def _check_ids(settings: Settings, desk: QueuePair, wait: float) -> None:
    """End the command where an event would run under a new id, or where that cannot be told."""
    main = desk.main.name if desk.main else None
    with tempfile.TemporaryDirectory(prefix="relay-dlq-") as directory:
        path = Path(directory, "now.jsonl")
        with stoppable() as stop:
            end, reach = await pulled(desk, path, wait, stop)
        letters = (read_dead_letter(message, rules(settings), main) for message in Snapshot(path))
        found = [i.message.message_id for i in letters if i.rootless or (i.sealed and not i.noted)]
    if not end.complete:
        typer.echo(f"relay: not everything could be looked at: {reach.why}", err=True)
    if found or not end.complete:
        named = f", such as {found[0]}" if found else ""
        typer.echo(
            f"relay: refused: {len(found)} messages are known to have neither a noted id nor one of"
            f" their own{named}: what ran already would run again. Without --native their ids are"
            " kept; --allow-new-ids moves them all the same",
            err=True,
        )
        raise typer.Exit(STOPPED)


POLL = 1.0

LOSSES = (
    "It cannot filter, edit or stop at a guard, and keeps no backup and no journal.",
    "Each message gets a new MessageId: an id that hangs on it and is not noted is lost.",
    "Each message gets a new age, and on FIFO queues a new deduplication id.",
)
"""What SQS's own move gives up (Amazon SQS API reference, StartMessageMoveTask; and measured)."""


@dataclass(frozen=True, slots=True)
class Moved:
    """How a task ended. `problem` is a sentence, None where everything was moved."""

    moved: int
    problem: str | None = None
    cancelled: bool = False


async def follow(
    tasks: MoveTasks,
    handle: str,
    *,
    stop: asyncio.Event,
    progress: Callable[[int], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Moved:
    """Wait for the newest task's end; a stop cancels it, and what was moved stays moved.

    Raises:
        AwsError: SQS does not say how it goes; the task goes on without us.
    """
    while True:
        task = await tasks.latest()
        if task is None:
            return Moved(0, "SQS knows of no task any more")
        progress(task.moved)
        if task.status not in (RUNNING, "CANCELLING"):
            break
        if stop.is_set() and task.status == RUNNING:
            return Moved(await tasks.cancel(handle), "cancelled as asked", cancelled=True)
        await sleep(POLL)
    if task.status == COMPLETED:
        return Moved(task.moved)
    return Moved(task.moved, f"the task ended as {task.status}: {task.failure or 'no reason told'}")
