"""`relay trace` and dead letters: from a snapshot, and from the queue with --scan-dlq."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from relay.aws.session import open_session
from relay.aws.sqs import open_queue
from relay.aws.sqs_values import Outgoing
from relay.delivery.dead_letter_copy import dead_letter_copy
from relay.delivery.payloads import POINTER_CLASSES
from relay.dlq.pull import pull
from relay.dlq.snapshot import Head
from relay.local.sqs import Fault as SqsFault
from relay.local.sqs import SqsServer
from relay.model.message import Message
from relay.model.origin import Origin
from tests.ops.trace.conftest import MESSAGE, NOW, REJECT, descriptions, log_line, trace

Settings = dict[str, str]


async def dead_letter_message(message: Message) -> None:
    """Send the message to the dead-letter queue as the relay does."""
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


@pytest.mark.parametrize("ident", ["order-1", MESSAGE.message_id])
async def test_a_snapshot_has_the_reason_and_the_time_of_deletion(
    sqs: SqsServer, settings: Settings, tmp_path: Path, ident: str
) -> None:
    await dead_letter_message(MESSAGE)
    await dead_letter_message(
        replace(MESSAGE, body=b'{"name":"n","id":"another"}', message_id="m-2")
    )
    path = await snapshot(tmp_path / "dead.jsonl.gz")
    found = await trace(ident, settings, snapshots=[path])
    assert descriptions(found, "dlq") == [
        "sent to events",
        "put into dead-letter queue dead as refused_by_destination: no such thing",
        "SQS deletes it from dead, if it is still there: it was at 2026-05-28 20:26:40Z",
    ]


async def test_an_invalid_message_is_found_by_the_id_in_its_body(
    sqs: SqsServer, settings: Settings, log: Callable[..., Path], tmp_path: Path
) -> None:
    """The log contains nothing from a body, so only the dead letter has the producer's id."""
    invalid = replace(MESSAGE, body=b'{"name":"","id":"order-9"}', message_id="m-9")
    await dead_letter_message(invalid)
    path = await snapshot(tmp_path / "dead.jsonl.gz")
    found = await trace(
        "order-9", settings, snapshots=[path], logs=[log(log_line(invalid, "lost"))]
    )
    assert (
        "put into dead-letter queue dead as refused_by_destination: no such thing"
        in descriptions(found, "dlq")
    )
    assert "lost" in descriptions(found, "log")


async def test_dead_letters_whose_events_are_in_s3_are_a_gap(
    sqs: SqsServer, settings: Settings, tmp_path: Path
) -> None:
    body = f'["{POINTER_CLASSES[0]}", {{"s3BucketName": "b", "s3Key": "k"}}]'.encode()
    await dead_letter_message(replace(MESSAGE, body=body))
    path = await snapshot(tmp_path / "dead.jsonl.gz")
    [(_, gap)] = (await trace("order-1", settings, snapshots=[path])).gaps
    assert "in S3" in gap
    assert (await trace(MESSAGE.message_id, settings, snapshots=[path])).gaps == ()


async def test_the_queue_is_received_from_only_on_request_and_released(
    sqs: SqsServer, settings: Settings
) -> None:
    await dead_letter_message(MESSAGE)
    settings = {**settings, "RELAY_DLQ_URL": "dead"}
    assert not descriptions(await trace("order-1", settings), "dlq")
    assert sqs.requests["ReceiveMessage"] == 0
    found = await trace("order-1", settings, scan_dlq=True, poll=0.0)
    assert "in dead-letter queue dead as refused_by_destination: no such thing" in descriptions(
        found, "dlq"
    )
    assert sqs.queues["dead"].counts() == (1, 0, 0)


async def test_a_dead_letter_queue_that_cannot_be_read_is_a_gap(
    sqs: SqsServer, settings: Settings
) -> None:
    unknown = await trace("order-1", settings, scan_dlq=True, poll=0.0)
    assert "RELAY_DLQ_URL" in dict(unknown.gaps)["dlq"]
    sqs.faults.add(SqsFault(action="ReceiveMessage", error="AccessDenied", times=None))
    denied = await trace("order-1", {**settings, "RELAY_DLQ_URL": "dead"}, scan_dlq=True, poll=0.0)
    assert "sqs:ReceiveMessage" in dict(denied.gaps)["dlq"]
