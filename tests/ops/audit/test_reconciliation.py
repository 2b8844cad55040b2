"""Audits agree with records that others keep: what was published, and what functions ran."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from relay.local.demo.publisher import Publisher, traffic
from relay.local.demo.scenario import FUNCTIONS
from relay.local.environment import Plan, local_environment
from relay.local.inngest import Function, InngestServer
from tests.ops.doctor.conftest import run

MESSAGES = 300


@asynccontextmanager
async def published(server: InngestServer, directory: Path) -> AsyncIterator[tuple[set[str], Path]]:
    """The demo's traffic, delivered by a relay: the ids that it must deliver, and its log."""
    plan = Plan(directory=directory, inngest_url=server.url)
    async with local_environment(plan) as environment:
        publisher = Publisher(environment.client, environment.queue_url, fifo=False)
        await publisher.publish(traffic(MESSAGES, 3, pushed=True))
        queue = environment.sqs.queues["relay"]
        async with asyncio.timeout(60):
            while queue.messages():  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.05)
    yield set(publisher.record.runs), directory / "relay.log"


async def audited(server: InngestServer, *words: str) -> dict[str, Any]:
    result = await run("audit", "--json", *words, RELAY_INNGEST_URL=server.url)
    assert result.code in (0, 1), result.err
    document: dict[str, Any] = json.loads(result.out)
    return document


async def test_the_log_and_the_list_agree_with_the_publisher_and_with_the_runs(
    tmp_path: Path,
) -> None:
    failing = Function(name="index-upload", on="s3/*", fails=True)
    functions = [one for one in FUNCTIONS if one.name != "index-upload"]
    async with (
        InngestServer(functions=[*functions, failing]) as server,
        published(server, tmp_path) as (expected, log),
    ):
        by_list = await audited(server)
        by_log = await audited(server, "--log", str(log))
        # The traffic uses some ids for two names.
        ran = {(one.event_name, one.event_id): one.status for one in server.runs}
        stored = {(one.name, one.id) for one in server.events}
        runs = Counter(f"{one.app}/{one.function}" for one in server.runs)
    statuses = Counter(ran.values())
    assert {ident for _, ident in stored} == expected
    for report in (by_list, by_log):
        states = {state: count for state, count in report["states"].items() if count}
        assert states == {
            "completed": statuses["Completed"],
            "failed": statuses["Failed"],
            "unheard": len(stored - ran.keys()),
        }
        assert report["events"] == len(stored)
        counted = {name: sum(counts.values()) for name, counts in report["by_function"].items()}
        assert counted == runs
    assert by_list["by_name"] == by_log["by_name"]
