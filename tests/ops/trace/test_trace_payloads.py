"""`relay trace` and dead letters whose events are in S3."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from relay.delivery.payloads import POINTER_CLASSES
from relay.dlq.dead_letter import DeadLetter, read_dead_letter
from relay.envelope import Rules
from relay.local.sqs import SqsServer
from relay.model.message import Message
from relay.ops.trace.dead_letters import DeadLetterSource
from relay.ops.trace.timeline import KnownIds
from tests.ops.trace.conftest import MESSAGE, descriptions, trace
from tests.ops.trace.test_trace_dead_letters import dead_letter_message, snapshot

Settings = dict[str, str]
BUCKET = "trace-payloads"
ALLOWED = {"RELAY_PAYLOAD_BUCKETS": BUCKET}
DEAD_LETTERED = "put into dead-letter queue dead as refused_by_destination: no such thing"


def pointing(key: str, message_id: str = MESSAGE.message_id, bucket: str = BUCKET) -> Message:
    body = json.dumps([POINTER_CLASSES[0], {"s3BucketName": bucket, "s3Key": key}]).encode()
    return replace(MESSAGE, body=body, message_id=message_id)


@pytest.fixture
def store(aws: Callable[[str], Any]) -> Iterator[Callable[..., None]]:
    """Puts an object into the bucket."""
    s3 = aws("s3")
    s3.create_bucket(Bucket=BUCKET)

    def put(key: str, **payload: Any) -> None:
        s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(payload).encode())

    yield put
    for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=item["Key"])
    s3.delete_bucket(Bucket=BUCKET)


async def test_the_events_of_a_payload_in_s3_are_found(
    sqs: SqsServer, store: Callable[..., None], settings: Settings, tmp_path: Path
) -> None:
    store("film", name="shop/film", id="film-1")
    await dead_letter_message(pointing("film"))
    path = await snapshot(tmp_path / "dead.jsonl.gz")
    found = await trace("film-1", settings | ALLOWED, snapshots=[path])
    assert DEAD_LETTERED in descriptions(found, "dlq")
    assert found.known.events == {("shop/film", "film-1")}
    assert found.gaps == ()
    dead = {"RELAY_DLQ_URL": "dead"}
    scanned = await trace("film-1", settings | ALLOWED | dead, scan_dlq=True, poll=0.0)
    assert DEAD_LETTERED.replace("put into", "in") in descriptions(scanned, "dlq")


async def test_an_invalid_payload_is_found_by_the_id_in_it(
    sqs: SqsServer, store: Callable[..., None], settings: Settings, tmp_path: Path
) -> None:
    store("film", name="", id="film-9")
    await dead_letter_message(pointing("film"))
    path = await snapshot(tmp_path / "dead.jsonl.gz")
    found = await trace("film-9", settings | ALLOWED, snapshots=[path])
    assert DEAD_LETTERED in descriptions(found, "dlq")


@pytest.mark.parametrize(
    ("bucket", "allowed", "why"),
    [
        (BUCKET, "", "RELAY_PAYLOAD_BUCKETS"),
        (BUCKET, BUCKET, "s3://trace-payloads/gone"),
        ("nobodys", "nobodys", "s3://nobodys/gone"),
    ],
)
async def test_a_payload_that_cannot_be_read_is_a_gap_with_its_reason(
    bucket: str,
    allowed: str,
    why: str,
    sqs: SqsServer,
    store: Callable[..., None],
    settings: Settings,
    tmp_path: Path,
) -> None:
    store("film", name="shop/film", id="film-1")
    await dead_letter_message(pointing("gone", "m-2", bucket))
    path = await snapshot(tmp_path / "dead.jsonl.gz")
    named = {"RELAY_PAYLOAD_BUCKETS": allowed} if allowed else {}
    [(source, gap)] = (await trace("film-1", settings | named, snapshots=[path])).gaps
    assert source == "dead.jsonl.gz"
    assert gap.startswith("the events of 1 messages are in S3 and were not read: ")
    assert why in gap
    known = await trace("m-2", settings | named, snapshots=[path])
    assert known.gaps == ()


async def test_a_payload_is_read_once_unless_an_id_in_it_becomes_known() -> None:
    read_ids: list[str] = []
    messages = [pointing(key, f"m-{key}") for key in ("a", "b")]

    async def read(message: Message) -> DeadLetter:
        read_ids.append(message.message_id)
        payload = json.dumps({"name": "n", "id": f"id-of-{message.message_id}"}).encode()
        return read_dead_letter(message, Rules(), payload=payload)

    source = DeadLetterSource("dlq", messages, read, 1_209_600.0)
    known = KnownIds("id-of-m-a")
    assert (await source.find(known)).entries
    assert read_ids == ["m-a", "m-b"]
    await source.find(known)
    assert read_ids == ["m-a", "m-b", "m-a"]
    known.events.add(("n", "id-of-m-b"))
    found = await source.find(known)
    assert read_ids[3:] == ["m-a", "m-b"]
    assert len(found.entries) == 6
