"""Publishes the script over the wire and keeps the producer's own record of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from relay.local.demo.books import Published
from relay.local.demo.publication import Publication

BATCH = 10
BATCH_BYTES = 1_000_000
SENDERS = 4


class Publisher:
    """Sends publications in batches; `done` counts the messages that SQS has accepted."""

    def __init__(self, client: Any, queue_url: str, *, fifo: bool) -> None:
        self._client = client
        self._queue_url = queue_url
        self._fifo = fifo
        self.record = Published()
        self.done = 0

    async def publish(self, script: Sequence[Publication]) -> None:
        """Publish all of it, a few batches at a time; in order on a FIFO queue."""
        gate = asyncio.Semaphore(1 if self._fifo else SENDERS)

        async def send(batch: Sequence[tuple[int, Publication]]) -> None:
            async with gate:
                await self._send(batch)

        async with asyncio.TaskGroup() as group:
            for batch in _batches(script):
                group.create_task(send(batch))

    async def _send(self, batch: Sequence[tuple[int, Publication]]) -> None:
        answer = await self._client.send_message_batch(
            QueueUrl=self._queue_url, Entries=[self._entry(*item) for item in batch]
        )
        by_number = dict(batch)
        for sent in answer["Successful"]:
            self.record.enter(by_number[int(sent["Id"])], sent["MessageId"])
        self.done += len(batch)

    def _entry(self, number: int, publication: Publication) -> dict[str, Any]:
        entry: dict[str, Any] = {"Id": str(number), "MessageBody": publication.body}
        if publication.attributes:
            entry["MessageAttributes"] = {
                name: {"DataType": "String", "StringValue": value}
                for name, value in publication.attributes.items()
            }
        if self._fifo:
            entry |= {
                "MessageGroupId": publication.group,
                "MessageDeduplicationId": f"publication-{number}",
            }
        return entry


def _batches(script: Sequence[Publication]) -> list[list[tuple[int, Publication]]]:
    """In tens, and fewer where the bodies would be too many bytes."""
    batches: list[list[tuple[int, Publication]]] = [[]]
    size = 0
    for number, publication in enumerate(script):
        length = len(publication.body.encode())
        if len(batches[-1]) == BATCH or size + length > BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append((number, publication))
        size += length
    return batches
