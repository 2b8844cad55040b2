"""An event's environment: from an SDK's header to the request that the relay sends to Inngest."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from relay.local.processes import free_port
from tests.destinations.wire import Wire, api, listening
from tests.gateway.running import running_gateway, until


async def answer_all(
    wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while True:
        await wire.read(reader)
        count = len(json.loads(wire.requests[-1][2]))
        writer.write(api(200, ids=[f"01J{n:023}" for n in range(count)]))
        await writer.drain()


async def test_events_of_two_environments_reach_inngest_in_requests_of_their_own() -> None:
    async with running_gateway() as gateway, listening(behave=answer_all) as wire:
        sent: dict[str, str] = {}
        for n in range(60):
            env = ("", "branch-a", "branch-b")[n % 3]
            answer = await gateway.post({"name": "a/b"}, **({"x_inngest_env": env} if env else {}))
            sent[answer.json()["ids"][0]] = env
        relay = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay", "poll"),
            env={
                **os.environ,
                "RELAY_QUEUE_URL": "orders",
                "RELAY_INNGEST_URL": wire.url,
                "RELAY_CONFIRM": "off",
                "RELAY_METRICS": "none",
                "PORT": str(free_port()),
            },
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            await until(lambda: sum(len(json.loads(r[2])) for r in wire.requests) >= 60)
        finally:
            relay.terminate()
            await relay.wait()
    arrived = {
        event["id"]: headers.get("x-inngest-env", "")
        for _, headers, body in wire.requests
        for event in json.loads(body)
    }
    assert arrived == sent
    assert len(wire.requests) < 60
