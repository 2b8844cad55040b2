"""Requests per message of a saturated relay. They are counted, never timed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from bench.payload import bodies
from bench.poster import Caller
from relay.local.processes import free_port
from tests.bench.saturated import (
    PATIENCE,
    PatientSink,
    accepting_connections,
    listening,
    pulling,
    relay,
)

CONNECTIONS = 50
"""The worker daemon's connections, as Elastic Beanstalk ships it."""


async def test_a_saturated_poller_receives_and_deletes_ten_at_a_time_and_fills_its_batches(
    tmp_path: Path,
) -> None:
    messages = 2_000
    async with pulling("relay", "poll", output=tmp_path / "relay.log") as all_:
        await all_.consume(messages)
        counts = all_.sink.counts()
        assert counts["events"] == messages
        assert counts["posts"] <= 0.015 * messages, counts
        requests = all_.queues.requests()
        assert sum(requests.values()) <= 0.21 * messages, requests


async def test_fifty_connections_share_their_posts(tmp_path: Path) -> None:
    messages = 1_000
    port = free_port()
    drawn = 0

    def messages_drawn() -> Iterator[str]:
        nonlocal drawn
        for body in bodies(messages, 300):
            drawn += 1
            yield body

    def full() -> bool:
        return drawn - sink.answered >= CONNECTIONS or drawn == messages

    async def keep_busy(texts: Iterator[str]) -> None:
        async with Caller(port, "main") as caller:
            for text in texts:
                await caller.post(text)

    sink = PatientSink(full)
    log = tmp_path / "relay.log"
    async with (
        listening(sink) as api,
        relay("relay", "serve", sink=api, output=log, PORT=str(port)) as process,
        asyncio.timeout(PATIENCE),
    ):
        await accepting_connections(port, process)
        texts = messages_drawn()
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(keep_busy(texts))
    counts = sink.counts()
    assert counts["events"] == messages
    assert counts["posts"] <= 0.1 * messages, counts
