"""The daemon's SQS client, and the pollers that receive as many messages as there is room for."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiobotocore.config import AioConfig  # type: ignore[import-untyped]  # ships no types
from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # ships no types
from botocore.exceptions import (  # type: ignore[import-untyped]  # ships no types
    BotoCoreError,
    ClientError,
)
from botocore.parsers import (  # type: ignore[import-untyped]  # ships no types
    ResponseParserError,
)

from relay.local.sqsd.options import MOST_A_RECEIVE
from relay.local.sqsd.request import USER_AGENT, Received
from relay.local.sqsd.tasks import Tasks
from relay.model.message import Attribute

LONG_POLL = 20
READ_TIMEOUT = 60.0
"""Far longer than a long poll, so that only a dead connection runs into it."""
REFILL = 0.2
"""The part of the backlog that must be free before it is refilled (2.x, fast application)."""
SYSTEM_ATTRIBUTES = (
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SentTimestamp",
    "SenderId",
)
_ERRORS = (ClientError, BotoCoreError, ResponseParserError, aiohttp.ClientError, OSError)


class QueueError(Exception):
    """A request to SQS failed, or got no response; the text has the reason."""


class Queue:
    """One queue, by its URL. Enter it before use.

    With an `endpoint_url` the queue is a local one, and fixed credentials are used; without one,
    the AWS credentials come from the environment.
    """

    def __init__(self, url: str, *, endpoint_url: str | None, region: str, polls: int) -> None:
        self.url = url
        self.name = url.rstrip("/").rpartition("/")[2]
        self._options: dict[str, Any] = {"endpoint_url": endpoint_url, "region_name": region}
        if endpoint_url is not None:
            self._options |= {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
        self._config = AioConfig(
            retries={"total_max_attempts": 1},
            read_timeout=READ_TIMEOUT,
            max_pool_connections=polls + 10,
            parameter_validation=False,
            user_agent=USER_AGENT,  # botocore's own costs a tenth of a call
        )
        self._stack = AsyncExitStack()
        self._client: Any = None

    async def __aenter__(self) -> Self:
        """Open the client."""
        opening = AioSession().create_client("sqs", config=self._config, **self._options)
        self._client = await self._stack.enter_async_context(opening)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the client."""
        await self._stack.aclose()

    async def receive(self, count: int, visibility: int) -> list[Received]:
        """One long poll.

        Raises:
            QueueError: messages that were received come back after their visibility timeout.
        """
        answer = await self._call(
            "receive_message",
            MaxNumberOfMessages=count,
            WaitTimeSeconds=LONG_POLL,
            VisibilityTimeout=visibility,
            MessageSystemAttributeNames=list(SYSTEM_ATTRIBUTES),
            MessageAttributeNames=["All"],
        )
        return [_received(message) for message in answer.get("Messages", ())]

    async def delete(self, receipts: Sequence[str]) -> int:
        """Delete up to ten messages; returns how many were deleted.

        Raises:
            QueueError: it is not known whether any was deleted.
        """
        entries = [{"Id": str(i), "ReceiptHandle": r} for i, r in enumerate(receipts)]
        answer = await self._call("delete_message_batch", Entries=entries)
        return len(answer.get("Successful", ()))

    async def release(self, receipt: str, seconds: int) -> None:
        """Make the message visible again after `seconds`.

        Raises:
            QueueError: it becomes visible when its visibility timeout ends.
        """
        await self._call(
            "change_message_visibility", ReceiptHandle=receipt, VisibilityTimeout=seconds
        )

    async def send(self, body: str, attributes: Mapping[str, str]) -> str:
        """Send a message with String attributes; returns its MessageId.

        Raises:
            QueueError: it may have been sent nevertheless.
        """
        typed = {
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        }
        answer = await self._call("send_message", MessageBody=body, MessageAttributes=typed)
        return str(answer["MessageId"])

    async def _call(self, action: str, **arguments: Any) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = await getattr(self._client, action)(
                QueueUrl=self.url, **arguments
            )
        except _ERRORS as error:
            raise QueueError(f"{action}: {error}") from error
        return answer


def _received(raw: Mapping[str, Any]) -> Received:
    system = raw.get("Attributes", {})
    return Received(
        body=raw["Body"],
        message_id=raw["MessageId"],
        receipt=raw["ReceiptHandle"],
        receive_count=system.get("ApproximateReceiveCount", "1"),
        sent_at=int(system.get("SentTimestamp", 0)) / 1000,
        first_received_at=int(system.get("ApproximateFirstReceiveTimestamp", 0)) / 1000,
        sender_id=system.get("SenderId", ""),
        attributes={
            name: _attribute(value) for name, value in raw.get("MessageAttributes", {}).items()
        },
    )


def _attribute(raw: Mapping[str, Any]) -> Attribute:
    kind = raw["DataType"]
    if not kind.startswith("Binary"):
        return Attribute(kind, raw["StringValue"])
    value = raw["BinaryValue"]
    return Attribute(kind, value if isinstance(value, bytes) else base64.b64decode(value))


class Pollers:
    """Receives messages as capacity becomes free; at most `connections + backlog` are in flight.

    A full receive adds one poller, up to `most`; an empty one reduces them to one.

    Args:
        receive: one long poll for at most this many messages.
        accept: called with each received message.
        most: the most concurrent receives.
        connections: how many messages can be posted at once.
        backlog: how many messages may wait for a connection.
        tasks: runs the receives.
    """

    def __init__(
        self,
        receive: Callable[[int], Awaitable[Sequence[Received]]],
        accept: Callable[[Received], None],
        *,
        most: int,
        connections: int,
        backlog: int,
        tasks: Tasks,
    ) -> None:
        self._receive = receive
        self._accept = accept
        self._most = most
        self._capacity = connections + backlog
        self._threshold = max(1, int(backlog * REFILL))
        self._tasks = tasks
        self._allowed = 1
        self._polling = 0
        self._stopped = False

    def start(self) -> None:
        """Start receiving."""
        self._refill()

    def stop(self) -> None:
        """Start no further receive."""
        self._stopped = True

    def left(self) -> None:
        """An accepted message is finished: its capacity is free again."""
        self._capacity += 1
        self._refill()

    def _refill(self) -> None:
        while (
            not self._stopped
            and self._polling < self._allowed
            and self._capacity >= self._threshold
        ):
            count = min(self._capacity, MOST_A_RECEIVE)
            self._capacity -= count
            self._polling += 1
            self._tasks.start(self._poll(count))

    async def _poll(self, count: int) -> None:
        received: Sequence[Received] = ()
        try:
            received = await self._receive(count)
        finally:
            self._polling -= 1
            self._capacity += count - len(received)
        self._allowed = self._next_allowed(len(received), count)
        for message in received:
            self._accept(message)
        self._refill()

    def _next_allowed(self, received: int, requested: int) -> int:
        if received == 0:
            return 1
        return min(self._allowed + 1, self._most) if received == requested else self._allowed
