"""Bodies without room in the dead-letter queue: kept in S3, and redriven whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest

from relay.app.decoding import opening
from relay.app.dlq import DeadLetterReader
from relay.aws.session import SharedSession
from relay.delivery.dead_letter_bucket import PREFIX, SETTING, DeadLetterBucket
from relay.delivery.dead_letter_copy import NotStored
from relay.delivery.dead_lettering import DeadLettering
from relay.delivery.handler import Handler
from relay.delivery.reject_guard import RejectGuard
from relay.envelope import Decoded
from relay.model.event import Event
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject
from relay.settings.model import Settings
from tests.delivery.handler_rig import NOW, ScriptedForwarder, message
from tests.delivery.test_too_large import SmallStore

REGION = "eu-north-1"
"""Used by this file only: moto's state outlives its servers."""

BUCKET = "bodies-of-dead-letters"
NOISE = os.urandom(200_000).hex()
EVENT = ('{"name":"a/b","id":"mine","data":{"x":"' + NOISE + '"}}').encode()


@pytest.fixture
def s3(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    client = boto3.client(
        "s3",
        endpoint_url=moto,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    yield client
    for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=item["Key"])
    client.delete_bucket(Bucket=BUCKET)


def handler(
    session: SharedSession, store: SmallStore, answer: Outcome
) -> tuple[Handler, list[Event]]:
    settings = Settings(dead_letter_bucket=BUCKET, confirm="off")
    sent: list[Event] = []

    def answered(event: Event) -> Outcome:
        sent.append(event)
        return answer

    made = Handler(
        opening(settings, session),
        ScriptedForwarder({"mine": answered}),
        DeadLettering(store, bodies=DeadLetterBucket(session, BUCKET)),
        guard=RejectGuard(enabled=False),
    )
    return made, sent


async def test_a_body_in_s3_is_redriven_whole(s3: Any) -> None:
    async with AsyncExitStack() as stack:
        session, store = SharedSession(stack), SmallStore()
        first, _ = handler(session, store, Reject("no", "not today"))
        assert isinstance(await first.handle(message(EVENT, sent_at=NOW)), Reject)
        (copy,) = store.copies
        assert len(copy.body) < 300
        (item,) = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
        assert item["Key"].startswith(PREFIX)

        dead = Message(
            body=copy.body.encode(), message_id="m-2", queue="dead", attributes=copy.attributes
        )
        reader = DeadLetterReader(Settings(dead_letter_bucket=BUCKET, confirm="off"), session, None)
        read = await reader.read(dead)
        assert isinstance(read.decoded, Decoded)
        assert [event.id for event in read.events] == ["mine"]
        assert (read.code, read.payload) == ("no", EVENT)

        second, sent = handler(session, SmallStore(), Delivered())
        assert isinstance(await second.handle(dead), Delivered)
        assert sent[0].data == b'{"x":"' + NOISE.encode() + b'"}'


async def test_a_repeated_try_keeps_one_object_and_another_body_another(s3: Any) -> None:
    async with AsyncExitStack() as stack:
        bucket = DeadLetterBucket(SharedSession(stack), BUCKET)
        for body in (b"one", b"one", b"two"):
            await bucket.put(message(body))
        assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 2
        assert bucket.pointer(message(b"one")) != bucket.pointer(message(b"two"))


async def test_a_missing_bucket_names_the_setting(s3: Any) -> None:
    assert s3
    async with AsyncExitStack() as stack:
        bucket = DeadLetterBucket(SharedSession(stack), "no-such-bucket")
        with pytest.raises(NotStored, match="no-such-bucket") as caught:
            await bucket.put(message(b"x"))
        assert caught.value.setting == SETTING
