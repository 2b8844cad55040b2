"""The demo's publisher: generates the traffic, sends it, and records what was published."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from relay.local.demo.reconciliation import Published
from relay.local.demo.samples import (
    EVENT_NAMES,
    VALID,
    VALID_IN_PUSH_MODE,
    MakeMessage,
    SampleMessage,
    array_with_poison,
    event_with_id,
    poison,
    s3_test_event,
)

POISON_SHARE = 0.06
REPEAT_SHARE = 0.05
HALF_BAD_SHARE = 0.01
GROUPS = 40

BATCH = 10
BATCH_BYTES = 1_000_000
SENDERS = 4


def traffic(messages: int, seed: int, *, pushed: bool) -> list[SampleMessage]:
    """This many messages to publish, in order; the same for the same seed.

    `pushed` adds periodic tasks, which exist only in push mode.
    """
    chance = random.Random(seed)  # noqa: S311 - reproducible traffic, no secret
    valid = VALID_IN_PUSH_MODE if pushed else VALID
    script = [_mixed(chance, number, valid) for number in range(messages)]
    return [replace(p, group=f"group-{chance.randrange(GROUPS)}") for p in script]


def _mixed(chance: random.Random, number: int, valid: Sequence[MakeMessage]) -> SampleMessage:
    draw = chance.random()
    if number == 0:
        return s3_test_event("", number)
    if draw < POISON_SHARE:
        return poison(number)
    if draw < POISON_SHARE + REPEAT_SHARE:
        return _repeat(chance, number)
    if draw < POISON_SHARE + REPEAT_SHARE + HALF_BAD_SHARE:
        return array_with_poison(number)
    return chance.choice(valid)(chance.choice(EVENT_NAMES), number)


def _repeat(chance: random.Random, number: int) -> SampleMessage:
    """A producer that got no answer and published an earlier event again, under the same id."""
    again = event_with_id(chance.choice(EVENT_NAMES), chance.randrange(max(1, number)))
    return replace(again, kind="repeated by its producer")


class Publisher:
    """Sends messages in batches and records them; `done` counts those that SQS has accepted."""

    def __init__(self, client: Any, queue_url: str, *, fifo: bool) -> None:
        self._client = client
        self._queue_url = queue_url
        self._fifo = fifo
        self.record = Published()
        self.done = 0

    async def publish(self, script: Sequence[SampleMessage]) -> None:
        """Publish all messages, a few batches at a time; in order on a FIFO queue."""
        slots = asyncio.Semaphore(1 if self._fifo else SENDERS)

        async def send(batch: Sequence[tuple[int, SampleMessage]]) -> None:
            async with slots:
                await self._send(batch)

        async with asyncio.TaskGroup() as group:
            for batch in _batches(script):
                group.create_task(send(batch))

    async def _send(self, batch: Sequence[tuple[int, SampleMessage]]) -> None:
        answer = await self._client.send_message_batch(
            QueueUrl=self._queue_url, Entries=[self._entry(*item) for item in batch]
        )
        by_number = dict(batch)
        for sent in answer.get("Successful", ()):
            self.record.add(by_number[int(sent["Id"])], sent["MessageId"])
        self.done += len(batch)

    def _entry(self, number: int, message: SampleMessage) -> dict[str, Any]:
        entry: dict[str, Any] = {"Id": str(number), "MessageBody": message.body}
        if message.attributes:
            entry["MessageAttributes"] = {
                name: {"DataType": "String", "StringValue": value}
                for name, value in message.attributes.items()
            }
        if self._fifo:
            entry |= {
                "MessageGroupId": message.group,
                "MessageDeduplicationId": f"message-{number}",
            }
        return entry


def _batches(script: Sequence[SampleMessage]) -> list[list[tuple[int, SampleMessage]]]:
    """Batches of up to ten messages and `BATCH_BYTES` of bodies, numbered."""
    batches: list[list[tuple[int, SampleMessage]]] = [[]]
    size = 0
    for number, message in enumerate(script):
        length = len(message.body.encode())
        if len(batches[-1]) == BATCH or size + length > BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append((number, message))
        size += length
    return batches
