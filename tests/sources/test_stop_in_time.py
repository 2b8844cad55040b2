"""A stop ends before the platform kills the process, whatever else does not answer."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import boto3  # type: ignore[import-untyped]  # ships no types
import httpx
import pytest

from relay.local.processes import free_port
from relay.local.sqs.server import SqsServer
from relay.settings import clocks
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


async def ended(process: asyncio.subprocess.Process) -> int:
    """The exit code after a stop; the process is killed when a platform would kill it."""
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(clocks.KILLED_AFTER):
            return await process.wait()
    except TimeoutError:
        process.kill()
        return await process.wait()


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


def send(url: str) -> None:
    """Create the queue and send a message."""
    client = boto3.client("sqs", endpoint_url=url, region_name="us-east-1")
    queue = client.create_queue(QueueName="main")["QueueUrl"]
    client.send_message(QueueUrl=queue, MessageBody='{"name": "order/paid"}')


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
