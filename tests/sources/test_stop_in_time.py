"""A stop ends before the platform kills the process, whatever else does not answer."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field

import boto3  # type: ignore[import-untyped]  # ships no types
import httpx
import pytest

from relay.local.processes import free_port
from relay.local.sqs.server import SqsServer
from relay.settings import clocks
from tests.chaos.proxy import Exchange, Phase, Proxy
from tests.sources.poller.rig import until

VARIABLES = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_CONFIG_FILE": "/nonexistent",
    "RELAY_QUEUE_URL": "main",
    "RELAY_CONFIRM": "off",
    "RELAY_METRICS": "cloudwatch",
    "RELAY_DRAIN_DEADLINE": "3",
}


def test_the_default_deadlines_add_up() -> None:
    longest = clocks.DRAIN_DEADLINE + 2 * clocks.LAST_RELEASES + clocks.LAST_REQUESTS
    assert longest + 3 * clocks.LAST_REPORT < clocks.KILLED_AFTER


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts connections and never answers."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


_log = logging.getLogger(__name__)

GOOD, POISON = 10, 5
DEAD_LETTER = "SQS SendMessageBatch dead"
WORST = {
    "RELAY_METRICS": "cloudwatch",
    "RELAY_TRACES": "otlp",
    "RELAY_LEDGER_TABLE": "ledger",
    "RELAY_DRAIN_DEADLINE": f"{clocks.DRAIN_DEADLINE:g}",
}
"""Everything that a stop may have to write, and the default deadline."""


@dataclass
class SilentSqs:
    """An SQS behind a proxy that stops answering: first for dead letters, then for everything."""

    sqs: SqsServer
    url: str
    all: bool = False
    sending: bool = False
    seen: set[str] = field(default_factory=set)

    async def take_events(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read requests of the relay to the orchestrator, and answer none."""
        try:
            while await reader.read(65_536):
                self.sending = True
        except ConnectionError:
            pass  # the relay has stopped
        finally:
            writer.close()

    async def intercept(self, exchange: Exchange, phase: Phase) -> None:
        """Never forward what is not answered any more."""
        self.seen.add(exchange.label)
        dead_letter = exchange.label.startswith("SQS SendMessage") and phase is Phase.REQUEST
        if self.all or dead_letter:
            await asyncio.Event().wait()

    def states(self) -> tuple[int, int, int]:
        """Messages that are visible, in flight and delayed."""
        return self.sqs.queues["main"].counts()


@pytest.fixture
async def silent_sqs(silent: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SilentSqs]:
    """The worst state for a stop: nothing that a relay writes to answers."""
    async with AsyncExitStack() as stack:
        sqs = await stack.enter_async_context(SqsServer())
        sqs.account.create("dead", {}, {})
        policy = {"deadLetterTargetArn": sqs.queues["dead"].arn, "maxReceiveCount": 1_000}
        attributes = {"RedrivePolicy": json.dumps(policy), "VisibilityTimeout": "120"}
        sqs.account.create("main", attributes, {})
        proxy = Proxy("SQS", int(sqs.url.rpartition(":")[2]))
        await stack.enter_async_context(proxy.serving())
        world = SilentSqs(sqs, proxy.url)
        proxy.intercept = world.intercept
        orchestrator = await asyncio.start_server(world.take_events, "127.0.0.1", 0)
        stack.callback(orchestrator.close)
        variables = {
            **VARIABLES,
            **WORST,
            "AWS_ENDPOINT_URL": silent,
            "AWS_ENDPOINT_URL_SQS": proxy.url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": silent,
            "RELAY_INNGEST_URL": "http://{}:{}".format(*orchestrator.sockets[0].getsockname()),
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield world


async def ended(process: asyncio.subprocess.Process) -> int:
    """The exit code after a stop; the process is killed when a platform would kill it."""
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    try:
        async with asyncio.timeout(clocks.KILLED_AFTER):
            code = await process.wait()
    except TimeoutError:
        process.kill()
        code = await process.wait()
    _log.info("stopped after %.1f s", time.monotonic() - began)
    return code


async def start(command: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "relay",
        command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )


async def test_a_poller_stops_while_orchestrator_and_cloudwatch_are_silent(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SqsServer() as sqs:
        for name, value in {
            **VARIABLES,
            "AWS_ENDPOINT_URL": silent,
            "AWS_ENDPOINT_URL_SQS": sqs.url,
            "RELAY_INNGEST_URL": silent,
        }.items():
            monkeypatch.setenv(name, value)
        await asyncio.to_thread(send, sqs.url)
        process = await start("poll")
        await until(lambda: sqs.queues["main"].counts() == (0, 1, 0))
        assert await ended(process) == 0
        assert sqs.queues["main"].counts() == (1, 0, 0)


async def test_a_server_stops_while_orchestrator_and_cloudwatch_are_silent(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    for name, value in {
        **VARIABLES,
        "AWS_ENDPOINT_URL": silent,
        "RELAY_INNGEST_URL": silent,
        "PORT": str(port),
    }.items():
        monkeypatch.setenv(name, value)
    process = await start("serve")
    headers = {"X-Aws-Sqsd-Msgid": "m", "X-Aws-Sqsd-Queue": "main"}
    async with httpx.AsyncClient(timeout=None, trust_env=False) as client:
        request = asyncio.create_task(
            posted(client, f"http://127.0.0.1:{port}/", headers, b'{"name": "order/paid"}')
        )
        await until(lambda: in_flight(port) == 1)
        assert await ended(process) == 0
        assert (await request).status_code != httpx.codes.OK


async def test_a_poller_in_the_worst_state_stops_before_it_is_killed(silent_sqs: SilentSqs) -> None:
    await asyncio.to_thread(send, silent_sqs.sqs.url, GOOD, POISON)
    process = await start("poll")
    await until(lambda: silent_sqs.states() == (0, GOOD + POISON, 0))
    await until(lambda: silent_sqs.sending and DEAD_LETTER in silent_sqs.seen)
    silent_sqs.all = True
    assert await ended(process) == 0
    assert sum(silent_sqs.states()) == GOOD + POISON


async def test_a_server_in_the_worst_state_stops_before_it_is_killed(
    silent_sqs: SilentSqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("PORT", str(port))
    process = await start("serve")
    bodies = [b'{"name": "order/paid"}'] * GOOD + [b"{"] * POISON
    async with httpx.AsyncClient(timeout=None, trust_env=False) as client:
        requests = [
            asyncio.create_task(
                posted(
                    client,
                    f"http://127.0.0.1:{port}/",
                    {"X-Aws-Sqsd-Msgid": f"m-{number}", "X-Aws-Sqsd-Queue": "main"},
                    body,
                )
            )
            for number, body in enumerate(bodies)
        ]
        await until(lambda: in_flight(port) == GOOD + POISON)
        await until(lambda: silent_sqs.sending and DEAD_LETTER in silent_sqs.seen)
        silent_sqs.all = True
        assert await ended(process) == 0
        answers = await asyncio.gather(*requests, return_exceptions=True)
    assert len(answers) == GOOD + POISON
    for answer in answers:
        # What is cut off is delivered again, too.
        assert isinstance(answer, httpx.TransportError) or (
            isinstance(answer, httpx.Response) and answer.status_code != httpx.codes.OK
        )


async def posted(
    client: httpx.AsyncClient, url: str, headers: dict[str, str], body: bytes
) -> httpx.Response:
    """The answer, once the server listens."""
    while True:
        try:
            return await client.post(url, headers=headers, content=body)
        except httpx.ConnectError:
            await asyncio.sleep(0.05)


def in_flight(port: int) -> int:
    try:
        found = httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False)
    except httpx.ConnectError:
        return 0
    return int(found.json().get("in_flight", 0))


def send(url: str, good: int = 1, poison: int = 0) -> None:
    """Send so many messages to the queue, which is created if it is not there."""
    client = boto3.client("sqs", endpoint_url=url, region_name="us-east-1")
    queue = client.create_queue(QueueName="main")["QueueUrl"]
    for body in ['{"name": "order/paid"}'] * good + ["{"] * poison:
        client.send_message(QueueUrl=queue, MessageBody=body)


async def test_a_hangup_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that rotate logs send it."""
    port = free_port()
    for name, value in {**VARIABLES, "RELAY_METRICS": "none", "PORT": str(port)}.items():
        monkeypatch.setenv(name, value)
    process = await start("serve")
    url = f"http://127.0.0.1:{port}/health"
    async with httpx.AsyncClient(timeout=None, trust_env=False) as client:
        await posted(client, url, {}, b"")
        process.send_signal(signal.SIGHUP)
        assert (await client.get(url)).status_code == httpx.codes.OK
    assert await ended(process) == 0
