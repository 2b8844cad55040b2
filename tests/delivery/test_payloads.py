"""Large payloads in S3."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.aws.errors import AwsError
from relay.aws.s3 import read_object
from relay.aws.session import Session, open_session
from relay.delivery.payloads import POINTER_CLASSES, NotFetched, Payloads, Pointer, parse_pointer
from relay.envelope import Decoded, Rules, decode
from relay.model.message import Message
from relay.model.outcome import Reject, Retry


def pointing(bucket: str = "large", key: str = "k", name: str = POINTER_CLASSES[0]) -> Message:
    body = json.dumps([name, {"s3BucketName": bucket, "s3Key": key}]).encode()
    return Message(body=body, message_id="m", queue="q")


async def open_(payloads: Payloads, message: Message) -> Message | Reject | Retry:
    async with payloads.opened(message) as opened:
        return opened


async def fetched(bucket: str, key: str, limit: int) -> bytes:
    return f"{bucket}/{key}/{limit}".encode()


@pytest.mark.parametrize("name", POINTER_CLASSES)
async def test_a_pointer_of_either_class_is_replaced_by_its_payload(name: str) -> None:
    payloads = Payloads(fetched, buckets=frozenset({"large"}), limit=7)
    opened = await open_(payloads, pointing(name=name))
    assert isinstance(opened, Message)
    assert (opened.body, opened.message_id) == (b"large/k/7", "m")


async def test_other_messages_are_unchanged() -> None:
    message = Message(body=b'[{"name": "x"}]', message_id="m", queue="q")
    assert await open_(Payloads(fetched), message) is message


@pytest.mark.parametrize(
    "text",
    [
        '[ "{name}" , {{ "s3BucketName" : "large", "s3Key" : "k" }} ]',
        '\n["{name}",{{"s3Key":"k","s3BucketName":"large","size":9,"more":{{}}}}]\t',
        '["{name}", {{"s3BucketName": "large", "s3Key": "k"}}, {{"more": 1}}]',
    ],
)
async def test_a_pointer_may_be_spelled_in_other_ways(text: str) -> None:
    body = text.format(name=POINTER_CLASSES[0]).encode()
    message = Message(body=body, message_id="m", queue="q")
    opened = await open_(Payloads(fetched, buckets=frozenset({"large"}), limit=7), message)
    assert isinstance(opened, Message)
    assert opened.body == b"large/k/7"


def notified(body: bytes) -> Message:
    fields = {"Type": "Notification", "MessageId": "sns-1", "TopicArn": "t", "Message": "x"}
    whole = json.dumps({**fields, "Message": body.decode()}).encode()
    return Message(body=whole, message_id="m", queue="q")


async def test_a_pointer_in_a_notification_is_replaced_and_its_id_stays() -> None:
    event = json.dumps({"name": "order/paid", "data": {"text": 'é"\n'}})

    async def event_in(_bucket: str, _key: str, _limit: int) -> bytes:
        return event.encode()

    message = notified(pointing().body)
    payloads = Payloads(event_in, buckets=frozenset({"large"}))
    assert payloads.may_be_pointer(message)
    opened = await open_(payloads, message)
    assert isinstance(opened, Message)
    decoded = decode(opened, Rules())
    direct = decode(notified(event.encode()), Rules())
    assert decoded == direct
    assert isinstance(decoded, Decoded)
    assert decoded.events[0].id == "sns-1"


async def test_a_broken_pointer_in_a_notification_is_rejected() -> None:
    message = notified(f'["{POINTER_CLASSES[1]}", {{}}]'.encode())
    opened = await open_(Payloads(fetched), message)
    assert isinstance(opened, Reject)
    assert opened.code == "bad_payload_pointer"


async def test_an_event_that_only_mentions_the_class_is_unchanged() -> None:
    text = json.dumps({"name": "a", "data": {"class": POINTER_CLASSES[0]}}).encode()
    for message in (Message(body=text, message_id="m", queue="q"), notified(text)):
        assert await open_(Payloads(fetched), message) is message


async def test_only_listed_buckets_are_read() -> None:
    opened = await open_(Payloads(fetched, buckets=frozenset({"other"})), pointing())
    assert isinstance(opened, Reject)
    assert opened.code == "payload_bucket_not_allowed"


@pytest.mark.parametrize("fields", ["{}", '{"s3BucketName": "large"}', "[]", '{"s3Key": ""}'])
async def test_a_broken_pointer_is_rejected(fields: str) -> None:
    body = f'["{POINTER_CLASSES[0]}", {fields}]'.encode()
    opened = await open_(Payloads(fetched), Message(body=body, message_id="m", queue="q"))
    assert isinstance(opened, Reject)
    assert opened.code == "bad_payload_pointer"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NotFetched("gone", "payload_missing"), Reject("payload_missing", "gone")),
        (NotFetched("grant s3:GetObject"), Retry("grant s3:GetObject")),
    ],
)
async def test_a_fixable_failure_is_retried_and_a_permanent_one_rejected(
    error: NotFetched, expected: Reject | Retry
) -> None:
    async def fetch(bucket: str, key: str, limit: int) -> bytes:
        raise error

    assert await open_(Payloads(fetch, buckets=frozenset({"large"})), pointing()) == expected


async def test_the_number_of_payloads_in_memory_is_limited() -> None:
    payloads = Payloads(fetched, buckets=frozenset({"large"}), concurrency=2)
    async with payloads.opened(pointing()), payloads.opened(pointing()):
        third = asyncio.create_task(open_(payloads, pointing()))
        await asyncio.sleep(0)
        assert not third.done()
    assert isinstance(await third, Message)


@given(
    st.one_of(st.binary(), st.binary().map(lambda tail: f'["{POINTER_CLASSES[0]}"'.encode() + tail))
)
def test_parsing_a_pointer_never_raises(body: bytes) -> None:
    assert isinstance(parse_pointer(body), Pointer | Reject | None)


@pytest.fixture
async def session(moto: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Session]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto)
    async with open_session() as session:
        client = await session.client("s3")
        await client.create_bucket(Bucket="large")
        await client.put_object(Bucket="large", Key="k", Body=b"0123456789")
        yield session


async def test_an_object_is_read_whole_up_to_its_limit(session: Session) -> None:
    assert await read_object(session, "large", "k", 10) == b"0123456789"
    assert await read_object(session, "large", "k", 9) is None


async def test_a_missing_object_is_distinguished_from_a_missing_bucket(session: Session) -> None:
    with pytest.raises(AwsError) as no_key:
        await read_object(session, "large", "nothing", 10)
    with pytest.raises(AwsError) as no_bucket:
        await read_object(session, "nowhere", "k", 10)
    assert (no_key.value.code, no_bucket.value.code) == ("NoSuchKey", "NoSuchBucket")
    assert no_key.value.kind == no_bucket.value.kind == "missing"
