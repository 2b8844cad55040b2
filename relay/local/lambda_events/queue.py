"""What an event source asks of a queue, and a client of SQS that does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp
from aiobotocore.config import AioConfig  # type: ignore[import-untyped]  # ships no types
from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # ships no types
from botocore.exceptions import (  # type: ignore[import-untyped]  # ships no types
    BotoCoreError,
    ClientError,
)

from relay.local.lambda_events.event import Raw

LONG_POLL = 20
READ_TIMEOUT = 60.0
MOST_CONNECTIONS = 50
_ERRORS = (ClientError, BotoCoreError, aiohttp.ClientError, OSError)


class QueueError(Exception):
    """A request to SQS failed, or got no response; the text has the reason."""


class Queue(Protocol):
    """One queue."""

    arn: str
    visibility: float
    """Seconds of its visibility timeout; what is received has no other."""

    async def receive(self, count: int, wait: int) -> Sequence[Raw]:
        """Up to ten messages after at most `wait` seconds.

        Raises:
            QueueError: messages that were received come back after their visibility timeout.
        """
        ...

    async def delete(self, handles: Sequence[str]) -> None:
        """Delete up to ten messages.

        Raises:
            QueueError: it is not known whether any was deleted.
        """
        ...


class SqsQueue:
    """A queue by its URL. Enter it before use; that reads its ARN and visibility timeout.

    Raises:
        QueueError: on entering, the queue cannot be read.
    """

    def __init__(self, url: str, *, endpoint_url: str, region: str) -> None:
        self.arn = ""
        self.visibility = 0.0
        self._url = url
        self._options: dict[str, Any] = {
            "endpoint_url": endpoint_url,
            "region_name": region,
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
        }
        self._config = AioConfig(
            retries={"total_max_attempts": 1},
            read_timeout=READ_TIMEOUT,
            max_pool_connections=MOST_CONNECTIONS,
            parameter_validation=False,
        )
        self._stack = AsyncExitStack()
        self._client: Any = None

    async def __aenter__(self) -> Self:
        """Open the client."""
        opening = AioSession().create_client("sqs", config=self._config, **self._options)
        self._client = await self._stack.enter_async_context(opening)
        answer = await self._call("get_queue_attributes", AttributeNames=["All"])
        self.arn = answer["Attributes"]["QueueArn"]
        self.visibility = float(answer["Attributes"]["VisibilityTimeout"])
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the client."""
        await self._stack.aclose()

    async def receive(self, count: int, wait: int) -> Sequence[Raw]:
        """See `Queue`."""
        answer = await self._call(
            "receive_message",
            MaxNumberOfMessages=count,
            WaitTimeSeconds=wait,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages: Sequence[Raw] = answer.get("Messages", ())
        return messages

    async def delete(self, handles: Sequence[str]) -> None:
        """See `Queue`."""
        entries = [{"Id": str(i), "ReceiptHandle": h} for i, h in enumerate(handles)]
        await self._call("delete_message_batch", Entries=entries)

    async def _call(self, action: str, **arguments: Any) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = await getattr(self._client, action)(
                QueueUrl=self._url, **arguments
            )
        except _ERRORS as error:
            raise QueueError(f"{action}: {error}") from error
        return answer
