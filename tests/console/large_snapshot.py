"""A snapshot of many dead letters, and the journals of many runs, for measurements."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from relay.dlq.duplicates import Identity
from relay.dlq.journal import Journal, JournalEntry
from relay.dlq.snapshot import Head, SnapshotWriter
from relay.model.message import Attribute, Message
from tests.dlq.incident import DEAD, MAIN
from tests.dlq.queues import LocalQueues, origin_attribute

KILLED = "killed"
"""The run that was killed after all messages."""

NAMES = 12
SOURCES = 4
HOURS = 14 * 24
KEYS = 40
"""Shapes of bodies."""

PADDING = 700
"""Bytes, so that a body has about 1 KB."""


async def fill(queues: LocalQueues, count: int, queued: int, path: Path) -> None:
    """A snapshot of two weeks, of many names, reasons, sources and shapes, 1 KB each."""
    queues.make(DEAD, MessageRetentionPeriod="1209600")
    queues.make(MAIN, DEAD)
    now, arn = time.time(), queues.sqs.queues[DEAD].arn
    queues.clock.advance(now - 3_600.0 - queues.clock.time())
    head = Head(queue=DEAD, arn=arn, taken_at=now, retention=1_209_600.0, fifo=False, main=MAIN)
    with SnapshotWriter(path, head) as writer:
        for number in range(count):
            body, attributes = dead_letter(number, now - number * HOURS * 3_600.0 / count)
            ident, sent_at = str(uuid5(NAMESPACE_URL, f"m{number}")), now - number
            if number < queued:
                [ident] = await queues.send(DEAD, body, attributes=attributes)
                sent_at = queues.now()
            writer.add(
                Message(
                    body=body.encode(),
                    message_id=ident,
                    queue=DEAD,
                    sent_at=sent_at,
                    receive_count=1,
                    first_received_at=now,
                    attributes=attributes,
                )
            )
        writer.close(complete=True)
    queues.clock.advance(time.time() - queues.clock.time())


def dead_letter(number: int, at: float) -> tuple[str, dict[str, Attribute]]:
    """The body and the attributes of one that was sent at a time. One in five would fail again."""
    event: dict[str, Any] = {
        "name": f"shop/event.{number % NAMES}",
        "id": f"event-{number}",
        "data": {"customer": f"customer-event-{number}", f"k{number % KEYS}": "x" * PADDING},
    }
    if number % 5 == 4:
        event["ts"] = 1_777_852_800
    return json.dumps(event), origin_attribute(
        str(uuid5(NAMESPACE_URL, str(number))),
        code=f"code_{number % 3}",
        reason=f"fails alone: 500: rule {number % 3}",
        source=MAIN if number % 2 else f"s-{number % SOURCES}",
        sent_at=at,
    )


def write_runs(directory: Path, count: int, messages: int, arn: str) -> None:
    """Journals of earlier runs, and one of a run that was killed after all of these messages."""
    head = Head(queue=DEAD, arn=arn, taken_at=0.0, retention=1e6, fifo=False)
    counts = {"done": messages, "deleted": messages, "received": messages, "skipped": {}}
    for number in range(count):
        ids = [f"event-{number}-{index}" for index in range(20)]
        journal = Journal(directory / f"run-{number}", head, {"command": "redrive", "ids": ids})
        journal.record(audit={**counts, "reasons": {}, "interrupted": False})
        journal.close()
    killed = Journal(directory / KILLED, head, {"command": "redrive"})
    for start in range(0, messages, 10):
        numbers = range(start, min(start + 10, messages))
        ids = [str(uuid5(NAMESPACE_URL, f"message {number}")) for number in numbers]
        identity = Identity("0" * 32, "0" * 32)
        killed.record_done(JournalEntry(one, identity, 1.0, 1, one) for one in ids)
    killed.close()
