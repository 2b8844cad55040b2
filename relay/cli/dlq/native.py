"""`relay dlq redrive --native`: SQS's own move task, after saying what it loses."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from relay.app.decoding import rules
from relay.aws.errors import AwsError
from relay.aws.move_tasks import COMPLETED, RUNNING, MoveTasks, open_move_tasks
from relay.aws.sqs import Queue, open_queue
from relay.cli.dlq.output import PARTIAL, STOPPED, Progress, stoppable, watching
from relay.cli.dlq.pull import pulled
from relay.cli.dlq.queues import open_queues
from relay.cli.startup import USAGE, fail
from relay.dlq.dead_letter import read_dead_letter
from relay.dlq.prediction import rejection
from relay.dlq.queue_pair import QueuePair
from relay.dlq.selection import ids_unknown
from relay.dlq.snapshot import Snapshot
from relay.model.encoded_body import is_truncated
from relay.output.terminal import echo, echo_json
from relay.settings.model import Settings

POLL = 1.0
"""Seconds between two requests for the task's state."""

LOSSES = (
    "It cannot filter, edit or stop by itself, and keeps no backup and no journal.",
    "Each message gets a new MessageId: an id that derives from it and is not recorded is lost.",
    "Each message gets a new age, and on FIFO queues a new deduplication id.",
)
"""What SQS's own move loses (Amazon SQS API reference, StartMessageMoveTask; and measured)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveOptions:
    """What the options ask for; see the command's help."""

    to: str | None
    rate: float | None
    wait: float
    yes: bool
    allow_new_ids: bool
    include_failing: bool = False
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """How a task ended. `problem` is a sentence, None if everything was moved."""

    moved: int
    problem: str | None = None
    cancelled: bool = False


def run(settings: Settings, dlq: str | None, main: str | None, options: MoveOptions) -> None:
    """Let SQS move everything, unless events would run under new ids."""
    ended = asyncio.run(_run(settings, dlq, main, options))
    if ended is None:
        echo("relay: nothing was changed; --yes does it", err=True)
        return
    if options.as_json:
        echo_json({"type": "native_result", **asdict(ended)})
    else:
        echo(f"{ended.moved} messages moved")
    if ended.problem is not None:
        echo(f"relay: {ended.problem}", err=True)
        raise typer.Exit(PARTIAL)


async def follow(
    tasks: MoveTasks,
    handle: str,
    *,
    stop: asyncio.Event,
    progress: Callable[[int], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Moved:
    """Wait for the newest task to end. A stop cancels it; what was moved by then stays moved.

    Raises:
        AwsError: SQS does not report its state; the task goes on.
    """
    while True:
        task = await tasks.latest()
        if task is None:
            return Moved(0, "SQS no longer has the task")
        progress(task.moved)
        if task.status not in (RUNNING, "CANCELLING"):
            break
        if stop.is_set() and task.status == RUNNING:
            return Moved(await tasks.cancel(handle), "cancelled as requested", cancelled=True)
        await sleep(POLL)
    if task.status == COMPLETED:
        return Moved(task.moved)
    reason = task.failure or "no reason given"
    return Moved(task.moved, f"the task ended as {task.status}: {reason}")


async def _run(
    settings: Settings, dlq: str | None, main: str | None, options: MoveOptions
) -> Moved | None:
    """None if nothing was moved because it was not asked for."""
    async with AsyncExitStack() as stack:
        queues = await stack.enter_async_context(open_queues(settings, dlq, main))
        target = await _target(queues, options.to, stack)
        what = f"SQS would move everything in {queues.dead.name} to {target.name}."
        for sentence in (what, *LOSSES):
            echo(f"relay: {sentence}", err=True)
        if not (options.allow_new_ids and options.include_failing):
            await _check(settings, queues, options)
        if not options.yes:
            if options.as_json:
                between = {"queue": queues.dead.name, "to": target.name}
                echo_json({"type": "native_plan", **between, "losses": LOSSES})
            return None
        rate = None if options.rate is None else max(1, int(options.rate))
        try:
            tasks = await stack.enter_async_context(open_move_tasks(queues.session, queues.dead))
            handle = await tasks.start(target.arn, rate)
            with stoppable() as stop, Progress("moved", total=queues.count) as progress:
                return await follow(tasks, handle, stop=stop, progress=progress.at)
        except AwsError as error:
            fail(error.sentence)


async def _target(queues: QueuePair, to: str | None, stack: AsyncExitStack) -> Queue:
    """The destination. Without one a task fails at messages that were sent to the queue."""
    if to is None and queues.main is None:
        fail("the destination is unknown: name the queue with --to", code=USAGE)
    if to is None and queues.main is not None:
        return queues.main
    try:
        return await stack.enter_async_context(open_queue(queues.session, to or ""))
    except AwsError as error:
        fail(error.sentence)


async def _check(settings: Settings, queues: QueuePair, options: MoveOptions) -> None:
    """End the command if an event would run under a new id, or would only be rejected again.

    Also if that cannot be ruled out.
    """
    main = queues.main.name if queues.main else None
    with tempfile.TemporaryDirectory(prefix="relay-dlq-") as directory:
        path = Path(directory, "now.jsonl")
        with watching() as watch:
            end, coverage = await pulled(queues, path, watch, options.wait)
        found, truncated, failing = list[str](), 0, 0
        for message in Snapshot(path):
            one = read_dead_letter(message, rules(settings), main)
            truncated += one.origin is not None and is_truncated(one.origin.encoding)
            failing += not one.payload_unread and rejection(one) is not None
            if not options.allow_new_ids and (one.id_would_change or ids_unknown(one)):
                found.append(message.message_id)
    if truncated:
        echo(
            f"relay: of {truncated} messages only the beginning of the body was kept: the relay"
            " rejects them again as body_truncated",
            err=True,
        )
    if not end.complete:
        echo(f"relay: not all messages could be checked: {coverage.why}", err=True)
    if failing and not options.include_failing:
        fail(
            f"refused: {failing} messages would be rejected again, and SQS cannot leave them."
            " Without --native they are left; --include-failing moves them all the same",
            code=STOPPED,
        )
    if found or not (end.complete or options.allow_new_ids):
        example = f", such as {found[0]}" if found else ""
        echo(
            f"relay: refused: {len(found)} messages have neither a recorded id nor one of their own"
            f"{example}: events that ran already would run again. Without --native their ids are"
            " kept; --allow-new-ids moves them all the same",
            err=True,
        )
        raise typer.Exit(STOPPED)
