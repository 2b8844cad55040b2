"""How many requests a message costs when there is always more to do. Counted, never timed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from bench.payload import bodies
from bench.poster import Caller
from relay.local.processes import free_port
from tests.bench.saturated import PATIENCE, PatientSink, answering, listening, pulling, relay

CONNECTIONS = 50
"""Of the worker daemon, as Elastic Beanstalk ships it."""


async def test_a_full_hand_costs_a_receive_and_a_delete_for_ten_and_full_batches(
    tmp_path: Path,
) -> None:
    messages = 2_000
    async with pulling("relay", "poll", output=tmp_path / "relay.log") as all_:
        await all_.consume(messages)
        seen = all_.sink.seen()
        assert seen["events"] == messages
        assert seen["posts"] <= 0.015 * messages, seen
        requests = all_.shop.seen()
        assert sum(requests.values()) <= 0.21 * messages, requests


async def test_fifty_connections_share_their_posts(tmp_path: Path) -> None:
    messages = 1_000
    port = free_port()
    asked = 0

    def drawn() -> Iterator[str]:
        nonlocal asked
        for body in bodies(messages, 300):
            asked += 1
            yield body

    def full() -> bool:
        return asked - sink.answered >= CONNECTIONS or asked == messages

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
        await answering(port, process)
        texts = drawn()
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(keep_busy(texts))
    seen = sink.seen()
    assert seen["events"] == messages
    assert seen["posts"] <= 0.1 * messages, seen
