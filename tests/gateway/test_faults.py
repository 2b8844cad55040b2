"""SQS and S3 fail in every way: what was answered 200 is in the queue, the rest is 503 or 400."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import boto3  # type: ignore[import-untyped] # it ships no types
import pytest

from relay.aws.session import Session
from relay.delivery.payloads import Payloads
from relay.local.sqs.faults import Fault, Request
from relay.model.message import Message
from relay.publishing.opening import PublisherOptions, open_publisher
from tests.gateway.running import KEY, embedded_sqs, running_gateway, until

EVENT = {"name": "shop/order.created", "data": {"n": 1}}
SEED = "1743130137367,eii2YKXRVTJPuA=="
SEND = "SendMessageBatch"
SHORT = PublisherOptions(timeout=2.0)
LARGE = {"name": "a/large", "id": "large", "data": {"x": "x" * 1_100_000}}


@pytest.mark.parametrize(
    "fault",
    [
        Fault(action=SEND, error="RequestThrottled", times=1),
        Fault(action=SEND, error="ServiceUnavailable", status=503, times=1),
        Fault(action=SEND, refuse=True, times=1),
        Fault(action=SEND, entries={0: "InternalError"}, times=1),
        Fault(action=SEND, entries={0: "RequestThrottled"}, sender_fault=True, times=1),
    ],
    ids=lambda fault: fault.error or ("refused" if fault.refuse else "entry"),
)
async def test_a_short_failure_of_sqs_is_not_seen_by_the_sender(fault: Fault) -> None:
    async with running_gateway() as gateway:
        gateway.sqs.faults.add(fault)
        answer = await gateway.post(EVENT)
        assert answer.status_code == 200
        assert gateway.ids == answer.json()["ids"]


async def test_requests_that_sqs_does_not_answer_hold_up_no_later_event() -> None:
    async with running_gateway() as gateway:
        gateway.sqs.faults.add(Fault(action=SEND, delay=60.0, times=2))
        hung = []
        for _ in range(2):
            hung.append(asyncio.create_task(gateway.post(EVENT)))
            await until(lambda: gateway.sqs.requests[SEND] == len(hung))
        answer = await gateway.post({**EVENT, "id": "later"})
        assert (answer.status_code, gateway.ids) == (200, ["later"])
        assert not any(task.done() for task in hung)
        assert [(await task).status_code for task in hung] == [503, 503]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(action=SEND, error="RequestThrottled", times=None), "RequestThrottled"),
        (Fault(action=SEND, error="AccessDenied", status=403, times=None), "AccessDenied"),
        (Fault(action=SEND, error="ExpiredToken", status=403, times=None), "ExpiredToken"),
        (Fault(action=SEND, error="InvalidClientTokenId", times=None), "InvalidClientTokenId"),
        (Fault(action=SEND, error="KmsAccessDenied", times=None), "KmsAccessDenied"),
        (Fault(action=SEND, error="SomethingNew", times=None), "SomethingNew"),
        (Fault(action=SEND, delay=60.0, times=None), "NoAnswer"),
        (Fault(action=SEND, entries={0: "InternalError"}, times=None), "InternalError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_lasting_failure_of_sqs_is_503_and_a_later_try_is_the_same_event(
    fault: Fault, code: str
) -> None:
    async with running_gateway(options=SHORT) as gateway:
        gateway.sqs.faults.add(fault)
        answer = await gateway.post(EVENT, x_inngest_event_id_seed=SEED)
        assert answer.status_code == answer.json()["status"] == 503
        assert answer.json()["error"]
        assert answer.json()["code"] == code
        gateway.sqs.faults.clear()
        again = await gateway.post(EVENT, x_inngest_event_id_seed=SEED)
        assert again.status_code == 200
        assert set(gateway.ids) == set(again.json()["ids"])


async def test_a_lost_answer_of_sqs_leaves_duplicates_under_one_id_at_worst() -> None:
    async with running_gateway() as gateway:
        gateway.sqs.faults.add(Fault(action=SEND, drop=True, times=1))
        answer = await gateway.post([EVENT, {**EVENT, "id": "own"}])
        assert answer.status_code == 200
        assert gateway.ids == answer.json()["ids"] * 2


async def test_when_some_messages_of_a_request_fail_it_is_503_and_its_retry_completes_it() -> None:
    async with running_gateway(options=SHORT) as gateway:
        events = [{"name": "a", "data": {"x": "x" * 60_000}}] * 3
        gateway.sqs.faults.add(
            Fault(action=SEND, entries={1: "InternalError"}, times=1),
            Fault(action=SEND, error="ServiceUnavailable", status=503, times=None),
        )
        answer = await gateway.post(events, x_inngest_event_id_seed=SEED)
        assert answer.status_code == 503
        assert len(gateway.ids) == 2
        gateway.sqs.faults.clear()
        again = await gateway.post(events, x_inngest_event_id_seed=SEED)
        assert again.status_code == 200
        assert set(gateway.ids) == set(again.json()["ids"])
        assert len(gateway.ids) == 5


async def test_a_message_that_sqs_will_never_take_is_400_and_does_not_harm_its_neighbours() -> None:
    """As SQS does, the queue refuses a whole batch because of one message."""

    def refuse(request: Request) -> Fault | None:
        bad = request.action == SEND and b"poison" in request.body
        return Fault(error="InvalidMessageContents", status=400) if bad else None

    async with running_gateway(faults=refuse) as gateway:
        answers = await asyncio.gather(
            *(gateway.post({"name": name}) for name in ("a", "b", "poison", "c", "d"))
        )
        assert [answer.status_code for answer in answers] == [200, 200, 400, 200, 200]
        assert answers[2].json()["code"] == "refused_by_sqs"
        assert "event 1" in answers[2].json()["error"]
        assert {event["name"] for event in gateway.events} == {"a", "b", "c", "d"}


async def test_concurrent_requests_share_requests_to_sqs() -> None:
    async with running_gateway() as gateway:
        answers = await asyncio.gather(*(gateway.post(EVENT) for _ in range(200)))
        assert {answer.status_code for answer in answers} == {200}
        assert sorted(gateway.ids) == sorted(answer.json()["ids"][0] for answer in answers)
        assert gateway.sqs.requests[SEND] < 100


async def test_a_client_that_leaves_while_sqs_is_slow_keeps_no_one_waiting() -> None:
    async with running_gateway() as gateway:
        gateway.sqs.faults.add(Fault(action=SEND, delay=0.3, times=1))
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        body = json.dumps(EVENT).encode()
        head = f"POST /e/{KEY} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await until(lambda: gateway.sqs.requests[SEND])
        writer.close()
        assert (await gateway.post(EVENT)).status_code == 200
        await until(lambda: gateway.app.in_flight == 0 and len(gateway.messages) == 2)


async def test_after_a_stop_new_requests_are_503_and_those_under_way_are_finished() -> None:
    async with running_gateway() as gateway:
        gateway.sqs.faults.add(Fault(action=SEND, delay=0.3, times=1))
        sending = asyncio.create_task(gateway.post(EVENT))
        await until(lambda: gateway.sqs.requests[SEND])
        gateway.app.stop()
        late = await gateway.post(EVENT)
        assert (late.status_code, late.json()["code"]) == (503, "stopping")
        await gateway.app.drain(10.0)
        assert (await sending).status_code == 200
        assert len(gateway.messages) == 1


async def test_what_sqs_does_not_confirm_before_the_end_of_a_stop_is_503() -> None:
    async with running_gateway() as gateway:
        gateway.sqs.faults.add(Fault(action=SEND, delay=60.0, times=None))
        sending = [asyncio.create_task(gateway.post(EVENT)) for _ in range(3)]
        await until(lambda: gateway.app.in_flight == 3 and gateway.sqs.requests[SEND])
        gateway.app.stop()
        await gateway.app.drain(0.01)
        answers = await asyncio.gather(*sending)
        assert {(one.status_code, one.json()["code"]) for one in answers} == {(503, "stopping")}
        assert all(one.json()["error"] for one in answers)
        assert gateway.app.in_flight == 0


async def test_an_event_too_large_for_the_queue_is_kept_in_s3_in_the_format_that_the_relay_reads(
    moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto)
    options = PublisherOptions(payload_bucket="gateway-payloads")
    async with running_gateway(options=options) as gateway:
        s3: Any = boto3.client("s3", region_name="eu-west-1", endpoint_url=moto)
        place = {"LocationConstraint": "eu-west-1"}
        s3.create_bucket(Bucket="gateway-payloads", CreateBucketConfiguration=place)
        answer = await gateway.post([{"name": "a/small"}, LARGE], x_inngest_env="branch")
        assert answer.status_code == 200
        assert answer.json()["ids"][1] == "large"
        small, large = gateway.messages
        assert json.loads(small.body)["name"] == "a/small"
        assert set(large.attributes) == {"x-inngest-env", "ExtendedPayloadSize"}

        async def fetch(bucket: str, key: str, limit: int) -> bytes:
            body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read(limit)
            return body

        payloads = Payloads(fetch, buckets=frozenset({"gateway-payloads"}))
        message = Message(body=large.body.encode(), message_id="m", queue="orders")
        async with payloads.opened(message) as opened:
            assert isinstance(opened, Message)
            assert json.loads(opened.body) == LARGE


async def test_while_s3_does_not_keep_a_large_event_the_request_is_503_and_nothing_is_sent(
    moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto)
    options = PublisherOptions(payload_bucket="no-such-bucket-anywhere")
    async with running_gateway(options=options) as gateway:
        answer = await gateway.post([{"name": "a/small"}, LARGE])
        assert (answer.status_code, answer.json()["code"]) == (503, "payload_not_stored")
        assert gateway.messages == []


async def test_a_queue_with_a_small_maximum_gets_smaller_messages() -> None:
    async with running_gateway(attributes={"MaximumMessageSize": "4096"}) as gateway:
        events = [{"name": "a", "data": {"x": "x" * 1_000}}] * 9
        assert (await gateway.post(events)).status_code == 200
        assert len(gateway.messages) > 3
        too_large = await gateway.post({"name": "a", "data": {"x": "x" * 5_000}})
        assert too_large.status_code == 413
        assert "4096" in too_large.json()["error"]


async def test_without_the_permission_to_read_the_queues_attributes_the_gateway_still_sends(
    caplog: pytest.LogCaptureFixture,
) -> None:

    async with embedded_sqs("orders") as (server, session):

        async def shared() -> Session:
            return session

        denied = Fault(action="GetQueueAttributes", error="AccessDenied", status=403, times=None)
        server.faults.add(denied)
        async with open_publisher("orders", PublisherOptions(), shared) as publisher:
            assert publisher.problem is None
        assert "MaximumMessageSize" in caplog.text
