"""The demo's traffic against an Inngest server that is only known by its URL."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from relay.local.demo.publisher import Publisher, traffic
from relay.local.demo.scenario import FUNCTIONS
from relay.local.environment import Plan, local_environment
from relay.local.inngest import InngestServer

DEV_URL = os.environ.get("INNGEST_DEV_URL")
MESSAGES = 300
PAGE = 51


async def listed(http: httpx.AsyncClient, since: datetime) -> AsyncIterator[dict[str, Any]]:
    """Every event that the server stored since then, page by page."""
    query = {"limit": str(PAGE), "received_after": since.isoformat().replace("+00:00", "Z")}
    while True:
        page = (await http.get("/v1/events", params=query)).json()["data"]
        for event in page:
            yield event
        if len(page) < PAGE:
            return
        query["cursor"] = page[-1]["internal_id"]


async def delivered(url: str, directory: Path) -> tuple[set[str], Counter[str], int]:
    """Publish, wait for an empty queue, and read back: ids stored, runs by function and id."""
    since = datetime.now(UTC)
    async with local_environment(Plan(directory=directory, inngest_url=url)) as environment:
        publisher = Publisher(environment.client, environment.queue_url, fifo=False)
        await publisher.publish(traffic(MESSAGES, 3, pushed=True))
        queue = environment.sqs.queues["relay"]
        async with asyncio.timeout(60):
            while queue.messages():  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.05)
        dead = len(environment.sqs.queues["relay-dlq"].messages())
    expected = set(publisher.record.runs)
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:
        async with asyncio.timeout(60):
            while True:
                events = [event async for event in listed(http, since)]
                if expected <= {event["id"] for event in events}:
                    break
                await asyncio.sleep(0.2)
        runs: Counter[str] = Counter()
        for event in events:
            answer = await http.get(f"/v1/events/{event['internal_id']}/runs")
            for run in answer.json()["data"]:
                runs[f"{run['function_id']} {event['id']}"] += 1
    assert dead == len(publisher.record.rejected)
    return {event["id"] for event in events}, runs, len(expected)


async def test_every_valid_event_is_stored_and_runs_once(tmp_path: Path) -> None:
    async with InngestServer(functions=FUNCTIONS) as server:
        ids, runs, expected = await delivered(server.url, tmp_path)
    assert len(ids) == expected
    assert runs
    assert set(runs.values()) == {1}


@pytest.mark.inngest_dev
@pytest.mark.skipif(DEV_URL is None, reason="set INNGEST_DEV_URL to a real Inngest dev server")
async def test_every_valid_event_is_stored_by_a_real_server(tmp_path: Path) -> None:
    assert DEV_URL is not None
    _ids, runs, _expected = await delivered(DEV_URL.rstrip("/"), tmp_path)
    assert set(runs.values()) <= {1}
