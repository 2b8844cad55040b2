"""The daemon's side of SQS: receive, delete in tens, set a visibility, send a periodic task."""

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
"""Far above a long poll, so that only a dead connection meets it."""
SYSTEM_ATTRIBUTES = (
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SentTimestamp",
    "SenderId",
)
_TROUBLES = (ClientError, BotoCoreError, ResponseParserError, aiohttp.ClientError, OSError)


class QueueError(Exception):
    """SQS did not answer, or answered with an error; the text says which."""


class Queue:
    """The queue by its URL. To be entered before it is used.

    With an `endpoint_url` it is taken for a local one, which gets made-up credentials; without, the
    AWS credentials and region of the environment count.
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
            QueueError: what may have been received comes back after its visibility timeout.
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
        """Delete up to ten; how many of them were deleted.

        Raises:
            QueueError: none is known to be deleted.
        """
        entries = [{"Id": str(i), "ReceiptHandle": r} for i, r in enumerate(receipts)]
        answer = await self._call("delete_message_batch", Entries=entries)
        return len(answer.get("Successful", ()))

    async def release(self, receipt: str, seconds: int) -> None:
        """Make the message visible again in so many seconds.

        Raises:
            QueueError: it becomes visible when its visibility timeout lapses.
        """
        await self._call(
            "change_message_visibility", ReceiptHandle=receipt, VisibilityTimeout=seconds
        )

    async def send(self, body: str, attributes: Mapping[str, str]) -> str:
        """Send a message with String attributes; its id.

        Raises:
            QueueError: it may have been sent all the same.
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
        except _TROUBLES as error:
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


REFILL = 0.2
"""The part of the backlog that must be free before it is filled again (2.x, quick application)."""


class Pollers:
    """Starts receives as messages leave. Never more are in hand than `connections + backlog`.

    A full answer allows one poller more, up to `most`; an empty one sends all but one home.

    Args:
        receive: one long poll for at most so many messages.
        accept: takes each message that was received.
        most: the most receives at once.
        connections: messages that can be posted at once.
        backlog: messages that may wait for a connection.
        tasks: where the receives run.
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
        self._room = connections + backlog
        self._threshold = max(1, int(backlog * REFILL))
        self._tasks = tasks
        self._allowed = 1
        self._polling = 0
        self._stopped = False

    def start(self) -> None:
        """Begin to receive."""
        self._refill()

    def stop(self) -> None:
        """Begin no receive any more."""
        self._stopped = True

    def left(self) -> None:
        """A message that was accepted is no longer in hand."""
        self._room += 1
        self._refill()

    def _refill(self) -> None:
        while not self._stopped and self._polling < self._allowed and self._room >= self._threshold:
            count = min(self._room, MOST_A_RECEIVE)
            self._room -= count
            self._polling += 1
            self._tasks.start(self._poll(count))

    async def _poll(self, count: int) -> None:
        received: Sequence[Received] = ()
        try:
            received = await self._receive(count)
        finally:
            self._polling -= 1
            self._room += count - len(received)
        self._allowed = self._next_allowed(len(received), count)
        for message in received:
            self._accept(message)
        self._refill()

    def _next_allowed(self, received: int, asked: int) -> int:
        if received == 0:
            return 1
        return min(self._allowed + 1, self._most) if received == asked else self._allowed
