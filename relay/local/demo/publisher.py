"""Publishes the script over the wire and keeps the producer's own record of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from relay.local.demo.reconciliation import Published
from relay.local.demo.samples import (
    HONEST,
    LISTENED,
    PUSHED,
    Sample,
    SampleMessage,
    half_bad,
    plain,
    poison,
    setup_notice,
)

POISON_SHARE = 0.06
REPEAT_SHARE = 0.05
HALF_BAD_SHARE = 0.01
GROUPS = 40


def traffic(messages: int, seed: int, *, pushed: bool) -> list[SampleMessage]:
    """So many messages to publish, in order; the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - a script to replay, not a secret
    honest = PUSHED if pushed else HONEST
    script = [_mixed(chance, number, honest) for number in range(messages)]
    return [replace(p, group=f"group-{chance.randrange(GROUPS)}") for p in script]


def _mixed(chance: random.Random, number: int, honest: Sequence[Sample]) -> SampleMessage:
    draw = chance.random()
    if number == 0:
        return setup_notice("", number)
    if draw < POISON_SHARE:
        return poison(number)
    if draw < POISON_SHARE + REPEAT_SHARE:
        return _repeat(chance, number)
    if draw < POISON_SHARE + REPEAT_SHARE + HALF_BAD_SHARE:
        return half_bad(number)
    return chance.choice(honest)(chance.choice(LISTENED), number)


def _repeat(chance: random.Random, number: int) -> SampleMessage:
    """A producer that heard no answer and published an earlier event again, under its id."""
    again = plain(chance.choice(LISTENED), chance.randrange(max(1, number)))
    return replace(again, kind="repeated by its producer")


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

    async def publish(self, script: Sequence[SampleMessage]) -> None:
        """Publish all of it, a few batches at a time; in order on a FIFO queue."""
        gate = asyncio.Semaphore(1 if self._fifo else SENDERS)

        async def send(batch: Sequence[tuple[int, SampleMessage]]) -> None:
            async with gate:
                await self._send(batch)

        async with asyncio.TaskGroup() as group:
            for batch in _batches(script):
                group.create_task(send(batch))

    async def _send(self, batch: Sequence[tuple[int, SampleMessage]]) -> None:
        answer = await self._client.send_message_batch(
            QueueUrl=self._queue_url, Entries=[self._entry(*item) for item in batch]
        )
        by_number = dict(batch)
        for sent in answer["Successful"]:
            self.record.add(by_number[int(sent["Id"])], sent["MessageId"])
        self.done += len(batch)

    def _entry(self, number: int, publication: SampleMessage) -> dict[str, Any]:
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


def _batches(script: Sequence[SampleMessage]) -> list[list[tuple[int, SampleMessage]]]:
    """In tens, and fewer where the bodies would be too many bytes."""
    batches: list[list[tuple[int, SampleMessage]]] = [[]]
    size = 0
    for number, publication in enumerate(script):
        length = len(publication.body.encode())
        if len(batches[-1]) == BATCH or size + length > BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append((number, publication))
        size += length
    return batches
