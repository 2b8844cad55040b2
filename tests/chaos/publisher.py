"""The publisher of chaos runs: sends messages and keeps its own record of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Source:
    """The message that an event was published in. `sent_at` is in seconds since the epoch."""

    body: str
    attributes: Mapping[str, str]
    sent_at: float


@dataclass(slots=True)
class Record(Published):
    """What was published.

    Attributes:
        messages: the event ids by MessageId.
        sources: the messages by event id; several if an id was published more than once.
        now: when the current messages were sent, at the earliest.
    """

    messages: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sources: defaultdict[str, list[Source]] = field(default_factory=lambda: defaultdict(list))
    now: float = 0.0

    def add(self, message: SampleMessage, message_id: str) -> None:
        Published.add(self, message, message_id)
        names = (*message.runs, *message.rejected)
        event_ids = tuple(name(message_id) for name in names)
        self.messages[message_id] = event_ids
        source = Source(message.body, message.attributes, self.now)
        for event_id in event_ids:
            self.sources[event_id].append(source)


class Publisher:
    """Publishes to one queue, in order."""

    def __init__(
        self, client: SqsClient, queue_url: str, clock: Callable[[], float], *, fifo: bool
    ) -> None:
        self.record = Record()
        self._clock = clock
        self._client = client
        self._queue_url = queue_url
        self._fifo = fifo
        self._sent = 0

    async def publish(self, messages: Sequence[SampleMessage]) -> None:
        """Send all messages and record those that SQS accepted."""
        for at in range(0, len(messages), BATCH):
            batch = messages[at : at + BATCH]
            self.record.now = self._clock()
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
        if message.attributes:
            entry["MessageAttributes"] = {
                name: {"DataType": "String", "StringValue": value}
                for name, value in message.attributes.items()
            }
        if self._fifo:
            entry |= {
                "MessageGroupId": message.group,
                "MessageDeduplicationId": f"message-{self._sent}",
            }
        return entry
