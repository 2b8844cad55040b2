"""`relay trace` and dead letters: a snapshot, or the queue itself when asked to look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from relay.aws.session import open_session
from relay.aws.sqs import open_queue
from relay.aws.sqs_values import Outgoing
from relay.delivery.dead_letter_queue import dead_letter_copy
from relay.delivery.payloads import POINTER_CLASSES
from relay.dlq.pull import pull
from relay.dlq.snapshot import Head
from relay.local.sqs import Fault as SqsFault
from relay.local.sqs import SqsServer
from relay.model.message import Message
from relay.model.origin import Origin
from tests.ops.trace.conftest import MESSAGE, NOW, REJECT, remark, story, whats

Settings = dict[str, str]


async def bury(message: Message) -> None:
    """Put the message into the dead-letter queue as the relay does."""
    origin = Origin(
        id=message.message_id,
        hops=1,
        sent_at=message.sent_at,
        source="events",
        code=REJECT.code,
        reason=REJECT.reason,
    )
    copy = dead_letter_copy(message, origin, 1_048_576)
    async with open_session() as session, open_queue(session, "dead") as queue:
        await queue.send([Outgoing(body=copy.body, attributes=copy.attributes)])


async def snapshot(path: Path) -> Path:
    head = Head(queue="dead", arn="arn", taken_at=NOW, retention=1_209_600.0, fifo=False)
    async with open_session() as session, open_queue(session, "dead") as queue:
        await pull(
            queue, path, head, waiting=1, wait=0.0, stop=asyncio.Event(), progress=lambda _: None
        )
    return path


@pytest.mark.parametrize("asked", ["order-1", MESSAGE.message_id])
async def test_a_snapshot_tells_why_it_died_and_when_it_will_be_gone(
    sqs: SqsServer, settings: Settings, tmp_path: Path, asked: str
) -> None:
    await bury(MESSAGE)
    await bury(replace(MESSAGE, body=b'{"name":"n","id":"another"}', message_id="m-2"))
    path = await snapshot(tmp_path / "dead.jsonl.gz")
    found = await story(asked, settings, snapshots=[path])
    assert whats(found, "dlq") == [
        "sent to events",
        "in dead as refused_by_destination: no such thing",
        "SQS deletes it from dead",
    ]


async def test_a_message_that_was_refused_is_found_by_the_id_that_it_claims(
    sqs: SqsServer, settings: Settings, log: Callable[..., Path], tmp_path: Path
) -> None:
    """Nothing of a payload is in the log, so only the letter knows the producer's id."""
    refused = replace(MESSAGE, body=b'{"name":"","id":"order-9"}', message_id="m-9")
    await bury(refused)
    path = await snapshot(tmp_path / "dead.jsonl.gz")
    found = await story("order-9", settings, snapshots=[path], logs=[log(remark(refused, "lost"))])
    assert "in dead as refused_by_destination: no such thing" in whats(found, "dlq")
    assert "lost" in whats(found, "log")


async def test_letters_whose_events_are_in_s3_are_a_gap(
    sqs: SqsServer, settings: Settings, tmp_path: Path
) -> None:
    body = f'["{POINTER_CLASSES[0]}", {{"s3BucketName": "b", "s3Key": "k"}}]'.encode()
    await bury(replace(MESSAGE, body=body))
    path = await snapshot(tmp_path / "dead.jsonl.gz")
    [(_, gap)] = (await story("order-1", settings, snapshots=[path])).gaps
    assert "in S3" in gap
    assert (await story(MESSAGE.message_id, settings, snapshots=[path])).gaps == ()


async def test_the_queue_itself_is_looked_at_only_when_asked_to_and_released(
    sqs: SqsServer, settings: Settings
) -> None:
    await bury(MESSAGE)
    settings = {**settings, "RELAY_DLQ_URL": "dead"}
    assert not whats(await story("order-1", settings), "dlq")
    assert sqs.requests["ReceiveMessage"] == 0
    found = await story("order-1", settings, scan_dlq=True, poll=0.0)
    assert "in dead as refused_by_destination: no such thing" in whats(found, "dlq")
    assert sqs.queues["dead"].counts() == (1, 0, 0)


async def test_a_dead_letter_queue_that_cannot_be_looked_at_is_a_gap(
    sqs: SqsServer, settings: Settings
) -> None:
    unknown = await story("order-1", settings, scan_dlq=True, poll=0.0)
    assert "RELAY_DLQ_URL" in dict(unknown.gaps)["dlq"]
    sqs.faults.add(SqsFault(action="ReceiveMessage", error="AccessDenied", times=None))
    denied = await story("order-1", {**settings, "RELAY_DLQ_URL": "dead"}, scan_dlq=True, poll=0.0)
    assert "sqs:ReceiveMessage" in dict(denied.gaps)["dlq"]
