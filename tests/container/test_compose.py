"""docker-compose.yml: its services are run as processes, with its own commands and variables."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped] # it ships no types

from relay.local.processes import free_port
from relay.settings import clocks
from tests.container.dockerfile import ROOT

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("build")}
PORTS = {"sqs": 9324, "events": 8288, "relay": 8000}
INTERPOLATED = re.compile(r"\$\{\w+:-([^}]*)\}")


@asynccontextmanager
async def service(name: str, ports: Mapping[str, int]) -> AsyncIterator[asyncio.subprocess.Process]:
    """The process of a service, with this machine's addresses in place of the services' names."""
    told = SERVICES[name]
    entry = told.get("entrypoint", ["python", "-m", "relay"])
    words = [sys.executable, *entry[1:], *told.get("command", ["poll"])]
    words = [{"0.0.0.0": "127.0.0.1"}.get(word, word) for word in words]
    if "entrypoint" in told:
        words += ["--port", str(ports[name])]
    variables = {k: moved(v, ports) for k, v in told.get("environment", {}).items()}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RELAY_", "AWS_"))}
    process = await asyncio.create_subprocess_exec(
        *words,
        env={**kept, "PORT": str(ports[name]), **variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def moved(value: str, ports: Mapping[str, int]) -> str:
    """A variable's value with the default of what is interpolated, and with the local addresses."""
    value = INTERPOLATED.sub(r"\1", value)
    for name, port in PORTS.items():
        value = value.replace(f"http://{name}:{port}", f"http://127.0.0.1:{ports[name]}")
    return value


async def answered(client: httpx.AsyncClient, url: str, **request: Any) -> httpx.Response:
    """The answer of a service that may still be starting."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await client.post(url, **request) if request else await client.get(url)
            except httpx.TransportError:
                await asyncio.sleep(0.05)


async def stored(client: httpx.AsyncClient, url: str) -> None:
    """Wait until the event API has an event."""
    while True:
        if (await client.get(url)).json()["data"]:
            return
        await asyncio.sleep(0.05)


async def test_an_event_that_is_sent_from_this_machine_arrives() -> None:
    ports = {name: free_port() for name in PORTS}
    sqs, events, relay = (f"http://127.0.0.1:{ports[name]}" for name in PORTS)
    message = {"QueueUrl": "relay", "MessageBody": '{"name": "media/uploaded", "data": {}}'}
    headers = {"x-amz-target": "AmazonSQS.SendMessage"}
    async with (
        service("sqs", ports),
        service("events", ports),
        httpx.AsyncClient() as client,
    ):
        sent = await answered(client, sqs, json=message, headers=headers)
        assert sent.status_code == 200, sent.text
        async with service("relay", ports), asyncio.timeout(60):
            await stored(client, f"{events}/v1/events")
            assert (await answered(client, f"{relay}/health")).status_code == 200
            assert "relay_delivered_total" in (await answered(client, f"{relay}/metrics")).text


@pytest.mark.parametrize("name", list(OURS))
def test_a_service_of_our_image_has_no_privileges_and_a_read_only_root(name: str) -> None:
    told = OURS[name]
    assert told["read_only"] is True
    assert told["tmpfs"] == ["/tmp"]
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]


def test_ports_are_published_on_loopback_only() -> None:
    published = [port for told in SERVICES.values() for port in told.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_relay_gets_the_time_that_its_stop_may_take() -> None:
    assert SERVICES["relay"]["stop_grace_period"] == f"{clocks.KILLED_AFTER:g}s"
