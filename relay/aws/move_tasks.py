"""SQS's message move tasks: start, follow and cancel them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from relay.aws.errors import calling, read_text
from relay.aws.references import endpoint_of
from relay.aws.session import Session
from relay.aws.sqs import Queue

RUNNING = "RUNNING"
COMPLETED = "COMPLETED"

_METHODS = {
    "StartMessageMoveTask": "start_message_move_task",
    "ListMessageMoveTasks": "list_message_move_tasks",
    "CancelMessageMoveTask": "cancel_message_move_task",
}


@dataclass(frozen=True, slots=True)
class MoveTask:
    """A task as SQS describes it. Counts are approximate; `handle` is None after its end."""

    status: str
    moved: int
    to_move: int | None
    failure: str | None
    handle: str | None


class MoveTasks:
    """The tasks of a dead-letter queue; SQS runs one at a time. Every method raises `AwsError`."""

    def __init__(self, client: Any, queue: Queue) -> None:
        self._client = client
        self._queue = queue

    async def start(self, destination_arn: str, rate: int | None = None) -> str:
        """Start moving all messages, at most `rate` per second, and return the task's handle."""
        request: dict[str, Any] = {"SourceArn": self._queue.arn, "DestinationArn": destination_arn}
        if rate is not None:
            request["MaxNumberOfMessagesPerSecond"] = rate
        with self._reading("StartMessageMoveTask"):
            answer = await self._call("StartMessageMoveTask", request)
            return read_text(answer["TaskHandle"])

    async def latest(self) -> MoveTask | None:
        """The newest task, or None."""
        request = {"SourceArn": self._queue.arn, "MaxResults": 1}
        with self._reading("ListMessageMoveTasks"):
            answer = await self._call("ListMessageMoveTasks", request)
            return next((_read(raw) for raw in answer.get("Results") or ()), None)

    async def cancel(self, handle: str) -> int:
        """Cancel a task, and return about how many messages it has moved."""
        with self._reading("CancelMessageMoveTask"):
            answer = await self._call("CancelMessageMoveTask", {"TaskHandle": handle})
            return int(answer.get("ApproximateNumberOfMessagesMoved", 0))

    async def _call(self, action: str, request: dict[str, Any]) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = await getattr(self._client, _METHODS[action])(**request)
        return answer

    def _reading(self, action: str) -> AbstractContextManager[None]:
        return calling(f"sqs:{action}", self._queue.url)


@asynccontextmanager
async def open_move_tasks(session: Session, queue: Queue) -> AsyncIterator[MoveTasks]:
    """The move tasks of the queue, usable while the session is open."""
    region = queue.arn.split(":")[3]
    yield MoveTasks(await session.client("sqs", region, endpoint_of(queue.url)), queue)


def _read(raw: Mapping[str, Any]) -> MoveTask:
    to_move = raw.get("ApproximateNumberOfMessagesToMove")
    return MoveTask(
        status=str(raw.get("Status", "")),
        moved=int(raw.get("ApproximateNumberOfMessagesMoved", 0)),
        to_move=None if to_move is None else int(to_move),
        failure=_optional(raw.get("FailureReason")),
        handle=_optional(raw.get("TaskHandle")),
    )


def _optional(value: Any) -> str | None:
    return None if value is None else read_text(value)
