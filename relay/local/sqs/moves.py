"""Message move tasks: move dead letters back in the background, at a limited rate."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
from typing import Literal
from uuid import uuid4

from relay.local.sqs.account import Account
from relay.local.sqs.errors import SqsError, invalid
from relay.local.sqs.queue import Queue
from relay.local.sqs.stored import Stored

FASTEST = 500  # messages per second; also the rate of a task that specifies none
_KEPT = 10  # tasks that SQS lists for a queue
_STEP = 0.1  # seconds between checks of the clock, at rates that allow it
_ROUNDING = 1e-3  # of a message: elapsed time is a sum of floats


class MoveTask:
    """One task. `status` is RUNNING, then COMPLETED, CANCELLED or FAILED with a reason."""

    def __init__(
        self, account: Account, source: Queue, destination: str | None, rate: int | None
    ) -> None:
        self.source, self.destination, self.rate = source, destination, rate
        self.handle = _handle(str(uuid4()), source.arn)
        self.status: Literal["RUNNING", "COMPLETED", "CANCELLED", "FAILED"] = "RUNNING"
        self.failure: str | None = None
        self.moved = 0
        self.to_move = source.counts()[0]
        self.started_at = account.clock.time()
        self._account = account

    async def run(self) -> None:
        """Move as many messages as were visible at the start, until done, failed or cancelled."""
        rate = self.rate or FASTEST
        clock = self._account.clock
        while self.running():
            await clock.sleep(max(1 / rate, _STEP))
            due = int((clock.time() - self.started_at) * rate + _ROUNDING)
            while self.running() and self.moved < min(due, self.to_move):
                self._move_one()
            if self.running() and self.moved >= self.to_move:
                self.status = "COMPLETED"

    def running(self) -> bool:
        """Whether the task is still running."""
        return self.status == "RUNNING"

    def _move_one(self) -> None:
        stored = self.source.withdraw()
        if stored is None:
            self.status = "COMPLETED"
            return
        arn = self.destination or stored.dead_letter_source
        target = None if arn is None else self._account.by_arn(arn)
        if target is None:
            self.source.restore(stored)
            self.status = "FAILED"
            self.failure = (
                "AWS.SimpleQueueService.NonExistentQueue"
                if arn
                else "CouldNotDetermineMessageSource"
            )
            return
        target.add(_as_new(stored, self._account.clock.time()), delay=0)
        self.moved += 1


class MoveTasks:
    """The tasks of an account. A queue has one running task at most; the last ten are kept."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._tasks: dict[str, list[MoveTask]] = {}
        self._running: set[asyncio.Task[None]] = set()

    def start(self, source_arn: str, destination_arn: str | None, rate: int | None) -> MoveTask:
        """Start a task from a dead-letter queue to its messages' sources, or to one queue.

        Raises:
            SqsError: SQS would not start it.
        """
        source = self._queue(source_arn, "SourceArn")
        if destination_arn is not None:
            destination = self._queue(destination_arn, "DestinationArn")
            if destination.fifo is not source.fifo:
                raise invalid("Source and destination queue must be of the same type.")
        if rate is not None and not 1 <= rate <= FASTEST:
            raise invalid(f"Value {rate} for parameter MaxNumberOfMessagesPerSecond is invalid.")
        if not self._account.sources_of(source):
            raise invalid("Source queue must be configured as a Dead Letter Queue.")
        if any(task.running() for task in self._tasks.get(source_arn, ())):
            raise invalid(
                "There is already a task running. Only one active task is allowed for a source "
                "queue arn at a given time."
            )
        return self._launch(MoveTask(self._account, source, destination_arn, rate))

    def latest(self, source_arn: str, count: int) -> list[MoveTask]:
        """A queue's latest tasks, newest first."""
        self._queue(source_arn, "SourceArn")
        return self._tasks.get(source_arn, [])[: -count - 1 : -1]

    def cancel(self, handle: str) -> MoveTask:
        """Stop a running task; messages already moved stay moved.

        Raises:
            SqsError: the handle is invalid, or the task is not running.
        """
        self._queue(_source_of(handle), "SourceArn")
        for task in self._tasks.get(_source_of(handle), ()):
            if task.handle == handle and task.running():
                task.status = "CANCELLED"
                return task
        raise SqsError("ResourceNotFoundException", "Task does not exist.")

    async def close(self) -> None:
        """Stop every task."""
        for running in self._running:
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _launch(self, task: MoveTask) -> MoveTask:
        tasks = self._tasks.setdefault(task.source.arn, [])
        tasks.append(task)
        del tasks[:-_KEPT]
        running = asyncio.ensure_future(task.run())
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return task

    def _queue(self, arn: str, parameter: str) -> Queue:
        queue = self._account.by_arn(arn)
        if queue is None:
            raise SqsError(
                "ResourceNotFoundException",
                f"The resource that you specified for the {parameter} parameter doesn't exist.",
            )
        return queue


def _as_new(stored: Stored, now: float) -> Stored:
    """A moved message counts as new: a new MessageId, a new sent time, a receive count of 0."""
    return dataclasses.replace(
        stored,
        message_id=str(uuid4()),
        sent_at=now,
        dedup_id=None if stored.dedup_id is None else stored.message_id,
        dead_letter_source=None,
        receive_count=0,
        first_received_at=None,
        receipt=0,
    )


def _handle(task_id: str, source_arn: str) -> str:
    return base64.b64encode(
        json.dumps({"taskId": task_id, "sourceArn": source_arn}).encode()
    ).decode()


def _source_of(handle: str) -> str:
    try:
        return str(json.loads(base64.b64decode(handle, validate=True))["sourceArn"])
    except (ValueError, KeyError, TypeError) as error:
        raise invalid("Value for parameter TaskHandle is invalid.") from error
