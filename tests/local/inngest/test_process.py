from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay.local.inngest", "--port", "0"),
        *("--function", "index=a/b", *arguments),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        yield process, line.removeprefix("listening on ").strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def send(url: str, *ids: str) -> None:
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        events = [{"id": event_id, "name": "a/b"} for event_id in ids]
        assert (await client.post(f"{url}/e/key", json=events)).status_code == 200


async def read(url: str) -> tuple[set[str], list[str]]:
    async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False) as client:
        stored = (await client.get("/_events")).json()["stored"]
        runs = (await client.get("/_runs")).json()["runs"]
    return {event["id"] for event in stored}, [run["event_id"] for run in runs]


async def end(process: asyncio.subprocess.Process, number: signal.Signals) -> int:
    process.send_signal(number)
    return await process.wait()


async def test_a_kill_between_steps_loses_what_was_not_persisted(
    tmp_path: Path,
) -> None:
    state = ("--state", str(tmp_path / "state"))
    never = "3600"
    async with running(*state) as (process, url):
        await send(url, "ran")
        assert await end(process, signal.SIGKILL) == -signal.SIGKILL
    async with running(*state, "--run-lag", never) as (process, url):
        await send(url, "scheduled")
        await end(process, signal.SIGKILL)
    async with running(*state, "--schedule-lag", never) as (process, url):
        await send(url, "stored")
        await end(process, signal.SIGKILL)
    async with running(*state, "--insert-lag", never) as (process, url):
        await send(url, "acknowledged")
        await end(process, signal.SIGKILL)
    async with running(*state) as (process, url):
        assert await read(url) == ({"ran", "scheduled", "stored"}, ["ran"])
        await send(url, "ran")
        assert await read(url) == ({"ran", "scheduled", "stored"}, ["ran", "ran"])


async def test_a_durable_queue_survives_a_kill(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"), "--persistence", "durable")
    async with running(*state, "--run-lag", "3600") as (process, url):
        await send(url, "x")
        await end(process, signal.SIGKILL)
    async with running(*state) as (process, url):
        await send(url, "x")
        assert await read(url) == ({"x"}, [])
        assert await end(process, signal.SIGTERM) == 0


async def test_sigterm_exits_cleanly_and_forgets_the_known_ids(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    async with running(*state) as (process, url):
        await send(url, "x")
        assert await end(process, signal.SIGTERM) == 0
    async with running(*state) as (process, url):
        await send(url, "x")
        assert await read(url) == ({"x"}, ["x", "x"])
