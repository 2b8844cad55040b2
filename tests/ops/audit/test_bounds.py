"""Requests and memory of an audit are bounded."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import pytest

from relay.dlq.safeguards import RateLimit
from relay.local.clock import ManualClock
from relay.ops.audit.requests import CONCURRENCY, BoundedRequests
from tests.ops.audit.conftest import World, at_once, found
from tests.ops.audit.scripted import ScriptedQueries
from tests.ops.audit.test_interrupted import log_of


async def test_no_more_than_the_given_requests_are_under_way(world: World, tmp_path: Path) -> None:
    queries = ScriptedQueries()
    await world.audit(logs=[log_of(tmp_path / "log", 500)], queries=queries)
    assert queries.at_once == CONCURRENCY


async def test_requests_keep_to_their_rate() -> None:
    clock, queries = ManualClock(0.0), ScriptedQueries()

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)
        await at_once(seconds)

    requests = BoundedRequests(queries, RateLimit(10.0, clock=clock.time, sleep=sleep))
    for _ in range(101):
        await requests.get("/api/v2/apps")
    assert clock.time() == pytest.approx(10.0)
    assert requests.count == 101


async def peak(world: World, log: Path, count: int) -> int:
    """Bytes that an audit of so many events needs more than it leaves."""
    gc.collect()
    tracemalloc.start()
    try:
        report = await world.audit(logs=[log], queries=Quiet(), state=f"{count}.state")
        assert found(report) == {"completed": count}
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class Quiet(ScriptedQueries):
    """Remembers no paths."""

    def __init__(self) -> None:
        super().__init__()
        self.paths = _Nothing()


class _Nothing(list[str]):
    def append(self, item: str) -> None:
        """Forget it."""


async def test_ten_thousand_events_need_no_more_memory_than_a_thousand(
    world: World, tmp_path: Path
) -> None:
    few = await peak(world, log_of(tmp_path / "few", 1_000), 1_000)
    many = await peak(world, log_of(tmp_path / "many", 10_000), 10_000)
    assert many < 1.5 * few
    assert many < 8_000_000
