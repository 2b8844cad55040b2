"""The publisher of chaos runs: sends messages and keeps its own record of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from relay.local.demo.reconciliation import Published
from relay.local.demo.samples import SampleMessage

BATCH = 10


class SqsClient:
    """A minimal client of SQS's JSON protocol, so that the record does not depend on the relay."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def call(self, action: str, **request: Any) -> Any:
        """Send one request.

        Raises:
            aiohttp.ClientResponseError: an error response.
        """
        headers = {
            "X-Amz-Target": f"AmazonSQS.{action}",
            "Content-Type": "application/x-amz-json-1.0",
        }
        async with self._http.post(self._url, json=request, headers=headers) as answer:
            answer.raise_for_status()
            return json.loads(await answer.read())


@dataclass(slots=True)
class Record(Published):
    """What was published; `messages` has the event ids by MessageId."""

    messages: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, message: SampleMessage, message_id: str) -> None:
        Published.add(self, message, message_id)
        names = (*message.runs, *message.rejected)
        self.messages[message_id] = tuple(name(message_id) for name in names)


class Publisher:
    """Publishes to one queue, in order."""

    def __init__(self, client: SqsClient, queue_url: str, *, fifo: bool) -> None:
        self.record = Record()
        self._client = client
        self._queue_url = queue_url
        self._fifo = fifo
        self._sent = 0

    async def publish(self, messages: Sequence[SampleMessage]) -> None:
        """Send all messages and record those that SQS accepted."""
        for at in range(0, len(messages), BATCH):
            batch = messages[at : at + BATCH]
            answer = await self._client.call(
                "SendMessageBatch",
                QueueUrl=self._queue_url,
                Entries=[self._entry(index, one) for index, one in enumerate(batch)],
            )
            for sent in answer["Successful"]:
                self.record.add(batch[int(sent["Id"])], sent["MessageId"])
            assert len(answer["Successful"]) == len(batch)

    def _entry(self, index: int, message: SampleMessage) -> dict[str, Any]:
        self._sent += 1
        entry: dict[str, Any] = {"Id": str(index), "MessageBody": message.body}
        if self._fifo:
            entry |= {
                "MessageGroupId": message.group,
                "MessageDeduplicationId": f"message-{self._sent}",
            }
        return entry
