"""The Python API for producers, as a stranger would use it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from relay import AwsError, InvalidEvents, NotPublished, Publisher, SyncPublisher, publish
from relay.local.sqs import SqsServer
from relay.local.sqs.faults import Fault
from tests.gateway.running import PATIENCE, embedded_sqs

EVENT = {"id": "order-1", "name": "shop/order.created", "data": {"n": 1.5, "t": "\u00fc"}}
SEND = "SendMessageBatch"


def bodies(server: SqsServer, queue: str = "orders") -> list[Any]:
    return [json.loads(message.body) for message in server.queues[queue].messages()]


async def test_a_publisher_returns_the_ids_of_what_is_in_the_queue() -> None:
    async with embedded_sqs("orders") as (server, _):
        async with Publisher("orders", environment="branch") as publisher:
            assert await publisher.publish(EVENT) == ["order-1"]
            ids = await publisher.publish([EVENT, {"name": "shop/b"}])
            assert await publisher.publish([]) == []
        assert ids[0] == "order-1"
        assert bodies(server) == [EVENT, [EVENT, {"id": ids[1], "name": "shop/b"}]]
        (first, _) = server.queues["orders"].messages()
        assert first.attributes["x-inngest-env"].string_value == "branch"


async def test_concurrent_calls_share_requests() -> None:
    async with embedded_sqs("orders") as (server, _):
        async with Publisher("orders") as publisher:
            await asyncio.gather(*(publisher.publish(EVENT) for _ in range(100)))
        assert len(bodies(server)) == 100
        assert server.requests[SEND] <= 20


BAD: list[tuple[Any, type[Exception], str]] = [
    ({"data": {}}, InvalidEvents, "event 1: the event has no name"),
    ([EVENT, {"name": "a", "ts": 1.5}], InvalidEvents, "event 2: "),
    ({"name": "a", "data": {"x": float("nan")}}, InvalidEvents, "NaN is not JSON"),
    ({"name": "a", "data": {"x": object()}}, TypeError, "not JSON serializable"),
    ({"name": "a", "data": {"x": "x" * 1_100_000}}, InvalidEvents, "payload_bucket"),
    ([{"name": "a"}] * 5_001, InvalidEvents, "5001 events"),
    ("nonsense", InvalidEvents, "event 1: "),
]


@pytest.mark.parametrize(("events", "kind", "words"), BAD)
async def test_what_the_relay_would_reject_raises_and_nothing_is_sent(
    events: Any, kind: type[Exception], words: str
) -> None:
    async with embedded_sqs("orders") as (server, _):
        async with Publisher("orders") as publisher:
            with pytest.raises(kind, match=words):
                await publisher.publish(events)
        assert bodies(server) == []


async def test_data_nested_too_deeply_raises() -> None:
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(100_000):
        inner["a"] = inner = {}
    async with embedded_sqs("orders"), Publisher("orders") as publisher:
        with pytest.raises(InvalidEvents, match="deep"):
            await publisher.publish({"name": "a", "data": deep})


async def test_half_of_a_surrogate_pair_is_sent_as_its_escape() -> None:
    async with embedded_sqs("orders") as (server, _):
        async with Publisher("orders") as publisher:
            await publisher.publish({"name": "a", "id": "i", "data": {"x": "\ud800"}})
        assert bodies(server)[0]["data"] == {"x": "\ud800"}


async def test_what_sqs_did_not_confirm_raises_and_can_be_published_again() -> None:
    async with (
        embedded_sqs("orders") as (server, _),
        Publisher("orders", timeout=0.3) as publisher,
    ):
        server.faults.add(Fault(action=SEND, error="ServiceUnavailable", times=None))
        with pytest.raises(NotPublished) as caught:
            await publisher.publish(EVENT)
        assert (caught.value.code, caught.value.permanent) == ("ServiceUnavailable", False)
        server.faults.clear()
        assert await publisher.publish(EVENT) == ["order-1"]


async def test_leaving_the_block_waits_for_calls_under_way() -> None:
    async with embedded_sqs("orders") as (server, _):
        server.faults.add(Fault(action=SEND, delay=0.2, times=1))
        async with Publisher("orders") as publisher:
            sending = asyncio.create_task(publisher.publish(EVENT))
            await asyncio.sleep(0)
            while not server.requests[SEND]:  # noqa: ASYNC110 - at another socket's end
                await asyncio.sleep(0.005)
        assert await sending == ["order-1"]
        assert bodies(server) == [EVENT]


async def test_a_queue_that_does_not_exist_raises_a_sentence() -> None:
    async with embedded_sqs("orders"):
        with pytest.raises(AwsError, match="no such resource"):
            async with Publisher("missing"):
                raise AssertionError("it was opened")


def test_wrong_arguments_raise_at_once() -> None:
    with pytest.raises(ValueError, match="JMESPath"):
        Publisher("orders", group_path="data.[")
    with pytest.raises(ValueError, match="environment="):
        Publisher("orders", environment="a\nb")


async def test_a_publisher_that_is_not_open_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Publisher("orders").publish(EVENT)
    with pytest.raises(RuntimeError, match="with SyncPublisher"):
        SyncPublisher("orders").publish(EVENT)


async def test_code_without_a_loop_publishes_from_many_threads_in_shared_requests() -> None:
    def work() -> list[list[str]]:
        with SyncPublisher("orders") as publisher, ThreadPoolExecutor(16) as threads:
            return list(threads.map(lambda _: publisher.publish(EVENT), range(100)))

    async with embedded_sqs("orders") as (server, _):
        assert await asyncio.to_thread(work) == [["order-1"]] * 100
        assert len(bodies(server)) == 100
        assert server.requests[SEND] < 100
        assert "relay" not in [thread.name for thread in threading.enumerate()]


async def test_a_synchronous_publisher_raises_what_the_other_raises_and_ends_its_thread() -> None:
    def work() -> None:
        with pytest.raises(AwsError, match="no such resource"), SyncPublisher("missing"):
            raise AssertionError("it was opened")
        with SyncPublisher("orders") as publisher, pytest.raises(InvalidEvents):
            publisher.publish({})
        assert "relay" not in [thread.name for thread in threading.enumerate()]

    async with embedded_sqs("orders"):
        await asyncio.to_thread(work)


async def test_one_call_opens_publishes_and_closes() -> None:
    async with embedded_sqs("orders") as (server, _):
        assert await asyncio.to_thread(publish, "orders", EVENT) == ["order-1"]
        assert bodies(server) == [EVENT]
        with pytest.raises(RuntimeError, match="event loop"):
            publish("orders", EVENT)


async def test_no_thread_waits_for_ever_for_a_publisher_that_another_one_closes() -> None:
    def publish_until_refused(publisher: SyncPublisher, first: threading.Event) -> None:
        with contextlib.suppress(NotPublished, RuntimeError):
            while True:
                publisher.publish(EVENT)
                first.set()

    def close_while_publishing() -> int:
        publisher, first = SyncPublisher("orders"), threading.Event()
        work = (publisher, first)
        threads = [
            threading.Thread(target=publish_until_refused, args=work, daemon=True) for _ in range(4)
        ]
        with publisher:
            for thread in threads:
                thread.start()
            first.wait()
        for thread in threads:
            thread.join(PATIENCE)
        return sum(thread.is_alive() for thread in threads)

    async with embedded_sqs("orders"):
        for _ in range(20):
            assert await asyncio.to_thread(close_while_publishing) == 0
