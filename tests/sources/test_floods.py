"""`relay serve` and `relay poll` as processes, under ten megabytes of hostile messages.

The destination takes requests and answers none, so that everything that is sent stays in memory.
`make floods` runs all of them and shows the figures.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from relay.local.processes import free_port
from relay.local.sqs.server import SqsServer
from tests.sources.floods import KINDS, Sent, flood

CONNECTIONS = 50
"""Of the worker daemon."""

HANDLED = 400
"""Messages that a poller handles at a time."""

ANSWERS = 40
"""Of `/health`, each a turn of the event loop or more, after which memory must not have grown."""

MOST_MORE = 75
"""Megabytes that a relay may take under a flood, beyond what it takes when idle."""

_log = logging.getLogger(__name__)


ORDINARY = [Sent('{"name":"a/b"}'), Sent("{")]
"""An event to deliver and a message to dead-letter. After them a relay has loaded all it needs."""


@dataclass
class Relay:
    """A running relay."""

    pid: int
    client: httpx.AsyncClient
    queue: SqsServer
    answers: int = 0
    slowest: float = 0.0

    def memory(self, name: str) -> float:
        """Megabytes: `VmRSS` for now, `VmHWM` for the most so far."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith(name))
        return int(line.split()[1]) * 1_024 / 1e6

    def forget_peak(self) -> None:
        """Count the most from now on."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    async def in_flight(self) -> int:
        """Messages in flight or dead-lettered."""
        in_flight: int = (await self.client.get("/ready")).json()["in_flight"]
        return in_flight + len(self.queue.queues["dead"].messages())

    async def health(self) -> None:
        """Ask for its health, which fails after a client's usual patience."""
        start = asyncio.get_running_loop().time()
        (await self.client.get("/health")).raise_for_status()
        self.slowest = max(self.slowest, asyncio.get_running_loop().time() - start)
        self.answers += 1


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """The address of a destination that answers nothing."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            pass
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def running(mode: str) -> AsyncIterator[Relay]:
    """A relay in this mode, between a local queue and a silent destination."""
    port = free_port()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(silent())
        queue = await stack.enter_async_context(SqsServer())
        queue.account.create("main", {"VisibilityTimeout": "300"}, {})
        queue.account.create("dead", {}, {})
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RELAY_"))}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "relay",
            mode,
            env=kept
            | {
                "AWS_ENDPOINT_URL": queue.url,
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "local",
                "AWS_SECRET_ACCESS_KEY": "local",
                "RELAY_QUEUE_URL": "main",
                "RELAY_DLQ_URL": "dead",
                "RELAY_INNGEST_URL": url,
                "RELAY_CONFIRM": "off",
                "PORT": str(port),
                "RELAY_LOG_PAYLOAD": "true",
                # It would give most of a flood back to the queue before much is in memory.
                "RELAY_REJECT_GUARD": "off",
            },
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            client = await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=f"http://127.0.0.1:{port}",
                    trust_env=False,
                    timeout=httpx.Timeout(30, pool=None),
                )
            )
            relay = Relay(process.pid, client, queue)
            await until_ready(relay)
            yield relay
        finally:
            process.kill()
            await process.wait()


async def until_ready(relay: Relay) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                if (await relay.client.get("/ready")).status_code == httpx.codes.OK:
                    return
            except httpx.ConnectError:
                pass
            await asyncio.sleep(0.05)


async def send(relay: Relay, messages: list[Sent]) -> None:
    """Send them to the queue, as a producer does."""
    headers = {
        "x-amz-target": "AmazonSQS.SendMessage",
        "content-type": "application/x-amz-json-1.0",
    }
    async with httpx.AsyncClient(base_url=relay.queue.url, trust_env=False) as client:
        for one in messages:
            request: dict[str, object] = {
                "QueueUrl": f"{relay.queue.url}/000000000000/main",
                "MessageBody": one.body,
            }
            if one.origin is not None:
                value = {"DataType": "String", "StringValue": one.origin}
                request["MessageAttributes"] = {"relay-origin": value}
            (await client.post("/", json=request, headers=headers)).raise_for_status()


async def post(relay: Relay, messages: list[Sent]) -> None:
    """Post them, as the worker daemon does; a connection waits for each answer."""

    async def connection(number: int) -> None:
        for position in range(number, len(messages), CONNECTIONS):
            one = messages[position]
            headers = {"x-aws-sqsd-msgid": str(uuid.uuid4()), "x-aws-sqsd-queue": "main"}
            if one.origin is not None:
                headers["x-aws-sqsd-attr-relay-origin"] = one.origin
            await relay.client.post("/", content=one.body, headers=headers, timeout=None)

    async with asyncio.TaskGroup() as group:
        for number in range(CONNECTIONS):
            group.create_task(connection(number))


@asynccontextmanager
async def flooded(relay: Relay, mode: str, messages: list[Sent]) -> AsyncIterator[None]:
    """With all messages in the relay, or as many as it handles at a time."""
    before = await relay.in_flight()
    sending = asyncio.create_task((post if mode == "serve" else send)(relay, messages))
    most = min(len(messages), CONNECTIONS if mode == "serve" else HANDLED - before) + before
    try:
        async with asyncio.timeout(120):
            while await relay.in_flight() < most and not sending.done():
                await relay.health()
            if mode == "poll":
                await sending
            while await relay.in_flight() < most:
                await relay.health()
        yield
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def settled(relay: Relay) -> float:
    """The most memory so far, once it has stopped growing."""
    before = 0.0
    while (most := relay.memory("VmHWM")) > before:
        before = most
        for _ in range(ANSWERS):
            await relay.health()
    return most


USUAL = {
    ("serve", "many small events"),
    ("serve", "large origins"),
    ("poll", "compressed bodies"),
    ("poll", "repeated keys"),
}


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        pytest.param(
            mode,
            kind,
            marks=pytest.mark.skipif(
                (mode, kind) not in USUAL and "FLOODS" not in os.environ,
                reason="takes a minute with the others: set FLOODS, or run make floods",
            ),
        )
        for mode in ("serve", "poll")
        for kind in KINDS
    ],
)
async def test_a_flood_takes_little_more_memory_than_an_idle_relay(mode: str, kind: str) -> None:
    async with running(mode) as relay, flooded(relay, mode, ORDINARY):
        await settled(relay)
        idle = relay.memory("VmRSS")
        relay.forget_peak()
        relay.slowest = 0.0
        async with flooded(relay, mode, flood(kind)):
            most = await settled(relay)
        figures = idle, most, relay.slowest, relay.answers
        _log.info(
            "%s, %s: idle %.0f MB, most %.0f MB; /health at most %.2f s, %d times",
            mode,
            kind,
            *figures,
        )
        assert most - idle < MOST_MORE
