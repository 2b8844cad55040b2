"""Measures the dead-letter commands and the console on a full dead-letter queue.

Each command is a process of its own, as an operator runs it. Beside them run bare loops of the same
client, which receive, or receive, send and delete, and do nothing else.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx

from bench.child import completed
from bench.contestant import free_port, relay_poll, variables
from bench.harness import Harness
from bench.progress import say
from bench.server_process import BenchmarkFailed, on_cpus
from relay.console.snapshots import PREFIX
from relay.local.processes import CONSOLE_AT, RelayProcess

SNAPSHOT = f"{PREFIX}bench.jsonl.gz"
LOOK = "a bare loop that receives"
MOVE = "a bare loop that receives, sends and deletes"
PULL = "relay dlq pull"
REDRIVE = "relay dlq redrive --yes"

BESIDE = {PULL: LOOK, REDRIVE: MOVE}
"""What each command is compared with."""

_VIEWS = {
    "now": "/",
    "dead letters, by reason": "/dead-letters",
    "dead letters, by shape": "/dead-letters?by=shape",
    "list, first page": "/dead-letters/list",
    "list, last page": "/dead-letters/list?page=999999",
    "list of one event name": "/dead-letters/list?name=shop/order.3",
    "list, search for one id": "/dead-letters/list?q=id-777",
    "plan of a redrive": "/redrive",
    "history": "/history",
}
WITHIN = 300.0
"""Seconds in which the console must have read the snapshot."""


async def dead_letters(harness: Harness, count: int) -> dict[str, Any]:
    """Time, CPU, requests and memory by command, and the seconds of each view of the console.

    Raises:
        BenchmarkFailed: a command fails, or leaves dead letters behind.
    """
    say(f"{count:,} dead letters")
    with tempfile.TemporaryDirectory() as directory:
        found = await _Steps(harness, Path(directory)).run(count)
    return {"messages": count, "beside": BESIDE, **found}


class _Steps:
    """The commands on one dead-letter queue, and what each took."""

    def __init__(self, harness: Harness, directory: Path) -> None:
        self._harness = harness
        self._directory = directory
        self._found: dict[str, dict[str, Any]] = {}
        self._environment: dict[str, str] = {}

    async def run(self, count: int) -> dict[str, Any]:
        name, url = await self._harness.new_queue()
        dead = f"{url}-dead"
        own = {"RELAY_DLQ_URL": dead, "NO_COLOR": "1", "COLUMNS": "120"}
        self._environment = variables(relay_poll(), self._harness.servers, url) | own
        snapshot = str(self._directory / SNAPSHOT)
        await self._fill(name, count)
        await self._bare(LOOK, "look", dead, url)
        await self._relay(PULL, "pull", snapshot)
        await self._relay("relay dlq stats", "stats", snapshot)
        await self._relay("relay dlq list", "list", snapshot)
        await self._relay("relay dlq redrive, the plan", "redrive", "--snapshot", snapshot)
        console = await self._console()
        await self._relay(REDRIVE, "redrive", "--yes", "--wait", "0")
        await self._expect(name, count)
        await self._fill(name, count)
        await self._bare(MOVE, "redrive", dead, url)
        await self._expect(name, count * 2)
        for queue in (name, f"{name}-dead"):
            await self._harness.sqs.call("delete_queue", name=queue)
        return {"steps": self._found, **console}

    async def _fill(self, name: str, count: int) -> None:
        dead = f"{name}-dead"
        await self._harness.sqs.call("fill_dead", name=dead, count=count, source=name)

    async def _expect(self, name: str, count: int) -> None:
        moved = await self._harness.sqs.call("counts", name=name)
        left = await self._harness.sqs.call("counts", name=f"{name}-dead")
        if (moved, left) != (count, 0):
            raise BenchmarkFailed(f"{moved} dead letters of {count} were redriven, {left} are left")

    async def _bare(self, title: str, *arguments: str) -> None:
        await self._step(title, (sys.executable, "-m", "bench.peers.bare_loop", *arguments))

    async def _relay(self, title: str, *arguments: str) -> None:
        await self._step(title, (sys.executable, "-m", "relay", "dlq", *arguments))

    async def _step(self, title: str, command: tuple[str, ...]) -> None:
        say(title)
        before = await self._requests()
        used = await completed(
            command,
            environment=self._environment | {"PYTHONPATH": _here()},
            output=self._directory / "output",
            cpus=self._harness.placement.contestant,
            directory=self._directory,
        )
        self._found[title] = {**asdict(used), "requests": await self._requests() - before}

    async def _requests(self) -> int:
        found: Mapping[str, int] = await self._harness.sqs.call("requests")
        return sum(found.values())

    async def _console(self) -> dict[str, Any]:
        """Seconds until it has read the snapshot, and of each view, opened for the second time."""
        say("views of the console")
        console = RelayProcess(
            "console",
            *("--write", "--port", str(free_port()), "--directory", str(self._directory)),
            settings=self._environment,
            output=self._directory / "console.log",
        )
        with on_cpus(self._harness.placement.contestant):
            await console.start()
        try:
            address = await console.printed(CONSOLE_AT)
            async with httpx.AsyncClient(timeout=60, trust_env=False) as browser:
                return await _views(browser, address)
        finally:
            await console.terminate()


async def _views(browser: httpx.AsyncClient, address: str) -> dict[str, Any]:
    base = address.partition("/?")[0]
    start = time.perf_counter()
    await browser.get(address)
    async with asyncio.timeout(WITHIN):
        while "/dead-letters/list" not in (await browser.get(f"{base}/dead-letters")).text:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.2)
    read = time.perf_counter() - start
    found = {}
    for name, path in _VIEWS.items():
        for _ in range(2):
            start = time.perf_counter()
            answer = await browser.get(f"{base}{path}")
            took = time.perf_counter() - start
            if answer.status_code != httpx.codes.OK:
                raise BenchmarkFailed(f"the console answers {path} with {answer.status_code}")
        found[name] = took
    return {"read": read, "views": found}


def _here() -> str:
    """The folder of the packages `bench` and `relay`: the commands run in another one."""
    return str(Path(__file__).parent.parent)
