"""The environment of a gateway run: producers, a gateway, the queue, and a relay that polls it."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import aiohttp

from relay.local.processes import free_port
from tests.chaos.accelerated_clock import AcceleratedClock
from tests.chaos.environment import REGION, Environment, environment
from tests.chaos.gateway.producer import Producer
from tests.chaos.processes import ForkServer, Relay
from tests.chaos.proxy import Proxy

KEY = "chaos-key"
BUCKET = "large-events"


@dataclass
class GatewayEnvironment:
    """What is running."""

    env: Environment
    gateway: Relay
    producer: Producer
    http: aiohttp.ClientSession

    async def ready(self) -> None:
        """Return when the gateway can publish. Its address is asked without a proxy."""
        url = f"http://127.0.0.1:{self.gateway.port}/ready"
        async with self.env.clock.timeout(1_000):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with self.http.get(url) as answer:
                        if answer.status == HTTPStatus.OK:
                            return
                await self.env.clock.sleep(0.2)


@contextlib.asynccontextmanager
async def gateway_environment(
    fork_server: ForkServer,
    clock: AcceleratedClock,
    directory: Path,
    *,
    bucket: bool,
    mutant: str | None = None,
    start: bool = True,
) -> AsyncIterator[GatewayEnvironment]:
    """Start everything.

    Args:
        fork_server: starts the relay and the gateway.
        clock: the run's clock.
        directory: for their output.
        bucket: whether the gateway keeps large events in S3.
        mutant: the fault that is built into the gateway.
        start: whether the gateway is started.
    """
    settings = {"RELAY_PAYLOAD_BUCKETS": BUCKET}
    async with contextlib.AsyncExitStack() as stack:
        env = await stack.enter_async_context(
            environment("pull", fork_server, clock, directory, settings=settings)
        )
        port = free_port()
        proxies = {
            "gateway": Proxy("gateway", port),
            "gateway SQS": Proxy("gateway SQS", int(env.sqs.url.rpartition(":")[2])),
            "gateway S3": Proxy("gateway S3", int(env.store.url.rpartition(":")[2])),
        }
        for proxy in proxies.values():
            await stack.enter_async_context(proxy.serving())
        env.proxies.update(proxies)
        gateway = Relay(
            fork_server,
            ["gateway"],
            _settings(env, port, bucket=bucket),
            directory / f"gateway-{uuid.uuid4().hex}.log",
            port,
            mutant,
        )
        stack.push_async_callback(gateway.kill_if_running)
        # Each try has a connection of its own, as after an SDK's error.
        connector = aiohttp.TCPConnector(force_close=True)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        producer = Producer(http, proxies["gateway"].url, KEY, clock)
        world = GatewayEnvironment(env, gateway, producer, http)
        if start:
            await gateway.start()
            await world.ready()
        yield world


def _settings(env: Environment, port: int, *, bucket: bool) -> dict[str, str]:
    found = {
        "AWS_ACCESS_KEY_ID": "chaos",
        "AWS_SECRET_ACCESS_KEY": "chaos",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": env.proxies["gateway SQS"].url,
        "AWS_ENDPOINT_URL_S3": env.proxies["gateway S3"].url,
        "RELAY_QUEUE_URL": env.queue_url,
        "RELAY_GATEWAY_KEYS": f"chaos={KEY}",
        "RELAY_GATEWAY_TIMEOUT": "40",
        "RELAY_DRAIN_DEADLINE": "10",
        "RELAY_METRICS": "none",
        "PORT": str(port),
    }
    return found | ({"RELAY_GATEWAY_BUCKET": BUCKET} if bucket else {})
