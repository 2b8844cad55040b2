"""Real relays, polling and behind sqsd, on one queue that is paused and resumed."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from relay.delivery.pause import TAG, Pause, tag_value
from relay.local.inngest.faults import Fault, Rule
from relay.local.inngest.records import Function
from relay.local.inngest.server import InngestServer
from relay.local.processes import RelayProcess, free_port
from relay.local.sqs.parameters import SendMessage
from relay.local.sqs.queue import Queue
from relay.local.sqs.server import SqsServer
from relay.local.sqs.validation import accept
from relay.local.sqsd import Sqsd, SqsdOptions

VALUE = tag_value(Pause(by="ana@laptop", at=1_767_225_600.0, reason="moving, INC-42"))
PATIENCE = 60.0
"""Seconds: four times what a relay may take to notice."""

DAEMON = SqsdOptions(
    http_connections=20, visibility_timeout=300, inactivity_timeout=180, error_visibility_timeout=2
)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the condition is in another process
            await asyncio.sleep(0.05)


class World:
    """A queue, an Inngest server and relays with their addresses."""

    def __init__(self, sqs: SqsServer, inngest: InngestServer, directory: Path) -> None:
        self.sqs = sqs
        self.inngest = inngest
        self.directory = directory
        self.sent = 0
        sqs.account.create("dead", {}, {})
        policy = json.dumps({"deadLetterTargetArn": sqs.queues["dead"].arn, "maxReceiveCount": 100})
        attributes = {"VisibilityTimeout": "60", "RedrivePolicy": policy}
        self.url = sqs.account.url_of(sqs.account.create("main", attributes, {}))

    @property
    def queue(self) -> Queue:
        return self.sqs.queues["main"]

    @property
    def ran(self) -> list[str]:
        """The ids of the events that ran."""
        return [run.event_id for run in self.inngest.runs]

    def send(self, count: int) -> None:
        for number in range(self.sent, self.sent + count):
            body = json.dumps({"name": "order/paid", "id": f"e-{number}", "data": {}})
            draft = SendMessage(queue_url=self.url, message_body=body)
            now = self.sqs.account.clock.time()
            self.queue.add(accept(draft, self.queue.attributes, now), None)
        self.sent += count

    def pause(self) -> None:
        self.queue.tags[TAG] = VALUE

    def resume(self) -> None:
        del self.queue.tags[TAG]

    def relay(self, mode: str, name: str) -> tuple[RelayProcess, str]:
        """A relay that is not running yet, and its address."""
        port = free_port()
        settings = {
            "AWS_ENDPOINT_URL": self.sqs.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "RELAY_QUEUE_URL": self.url,
            "RELAY_INNGEST_URL": self.inngest.url,
            "RELAY_CONFIRM": "off",
            "RELAY_METRICS": "prometheus",
            "PORT": str(port),
        }
        output = self.directory / f"{name}.log"
        return (
            RelayProcess(mode, settings=settings, output=output, port=port),
            f"http://127.0.0.1:{port}",
        )

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    functions = (Function(name="handle", on="order/paid"),)
    async with SqsServer(region="us-east-1") as sqs, InngestServer(functions=functions) as inngest:
        yield World(sqs, inngest, tmp_path)


@asynccontextmanager
async def daemon(world: World, url: str) -> AsyncIterator[None]:
    async with Sqsd(world.url, url, DAEMON, endpoint_url=world.sqs.url, region="us-east-1"):
        yield


async def ready(url: str, **expected: Any) -> dict[str, Any]:
    """The first answer of `/ready` with these fields, and its status."""
    async with asyncio.timeout(PATIENCE), httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                answer = await client.get(f"{url}/ready")
            except httpx.ConnectError:
                await asyncio.sleep(0.05)
                continue
            found: dict[str, Any] = answer.json()
            if expected.items() <= found.items():
                return {**found, "status": answer.status_code}
            await asyncio.sleep(0.05)


async def test_pollers_and_a_server_on_one_queue_are_paused_and_resumed_under_traffic(
    world: World,
) -> None:
    async with AsyncExitStack() as stack:
        urls = []
        for mode, name in (("poll", "one"), ("poll", "two"), ("serve", "three")):
            relay, url = world.relay(mode, name)
            await stack.enter_async_context(relay)
            urls.append(url)
        await stack.enter_async_context(daemon(world, urls[2]))
        world.send(200)
        await until(lambda: len(world.ran) >= 100)
        world.pause()
        world.send(100)
        found = await asyncio.gather(*(ready(url, paused=True) for url in urls))
        # Push mode holds what sqsd posts; everything else was finished.
        await asyncio.gather(*(ready(url, in_flight=0) for url in urls[:2]))
        ran = len(world.ran)
        world.send(100)
        reads = world.sqs.requests["ListQueueTags"]
        await until(lambda: world.sqs.requests["ListQueueTags"] >= reads + 3)
        assert len(world.ran) == ran
        async with httpx.AsyncClient(trust_env=False) as client:
            metrics = (await client.get(f"{urls[0]}/metrics")).text
        world.resume()
        await asyncio.gather(*(ready(url, paused=False) for url in urls))
        await until(lambda: not world.queue.messages())
    assert {answer["status"] for answer in found} == {200}
    assert {answer["pause"]["reason"] for answer in found} == {"moving, INC-42"}
    assert re.search(r"^relay_paused\{.*\} 1", metrics, re.MULTILINE)
    assert sorted(world.ran) == sorted(f"e-{number}" for number in range(world.sent))
    assert world.sqs.queues["dead"].messages() == ()
    for name in ("one", "two", "three"):
        assert world.log(name).count("paused by ana@laptop") == 1
        assert world.log(name).count("resumed after") == 1


@pytest.mark.parametrize("mode", ["poll", "serve"])
async def test_a_relay_that_is_killed_while_paused_starts_paused_and_loses_nothing(
    world: World, mode: str
) -> None:
    world.pause()
    world.send(30)
    relay, url = world.relay(mode, "relay")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(relay)
        await ready(url, paused=True)
        if mode == "serve":
            await stack.enter_async_context(daemon(world, url))
            await ready(url, in_flight=20)
        await relay.kill()
        assert world.ran == []
        await relay.start()
        await ready(url, paused=True)
        assert world.ran == []
        world.resume()
        await until(lambda: not world.queue.messages())
    assert sorted(world.ran) == sorted(f"e-{number}" for number in range(30))


@pytest.mark.parametrize("mode", ["poll", "serve"])
async def test_a_pause_in_an_outage_finishes_what_is_in_flight_and_takes_nothing_after_it(
    world: World, mode: str
) -> None:
    world.inngest.script.add(Rule(fault=Fault(accept=0, status=503), times=None))
    relay, url = world.relay(mode, "relay")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(relay)
        if mode == "serve":
            await stack.enter_async_context(daemon(world, url))
        world.send(3)
        await ready(url, circuit="open")
        held = (await ready(url, circuit="open"))["in_flight"]
        world.pause()
        both = await ready(url, paused=True, circuit="open")
        world.send(10)
        world.inngest.script.clear()
        await ready(url, paused=True, circuit="closed")
        await until(lambda: len(world.ran) >= held)
        assert len(world.ran) <= 3
        world.resume()
        await until(lambda: not world.queue.messages())
    assert both["status"] == 503
    assert sorted(world.ran) == sorted(f"e-{number}" for number in range(13))
    assert world.sqs.queues["dead"].messages() == ()


@pytest.mark.parametrize("mode", ["poll", "serve"])
async def test_a_paused_relay_stops_and_gives_back_what_it_holds(world: World, mode: str) -> None:
    world.pause()
    world.send(5)
    relay, url = world.relay(mode, "relay")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(relay)
        await ready(url, paused=True)
        if mode == "serve":
            await stack.enter_async_context(daemon(world, url))
            await ready(url, in_flight=5)
        assert await relay.terminate() == 0
    assert (world.ran, len(world.queue.messages())) == ([], 5)


@pytest.mark.parametrize("mode", ["poll", "serve"])
async def test_a_relay_that_may_not_read_tags_delivers_and_says_so(world: World, mode: str) -> None:
    from relay.local.sqs.faults import Fault as SqsFault  # noqa: PLC0415 - two of one name

    denied = SqsFault(action="ListQueueTags", error="AccessDenied", status=403, times=None)
    world.sqs.faults.add(denied)
    world.pause()
    relay, url = world.relay(mode, "relay")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(relay)
        if mode == "serve":
            await stack.enter_async_context(daemon(world, url))
        world.send(5)
        await until(lambda: not world.queue.messages())
        found = await ready(url, ready=True)
    assert "sqs:ListQueueTags" in " ".join(found["warnings"])
    assert world.log("relay").count("cannot be read") == 1
