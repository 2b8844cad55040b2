"""One fork server for all chaos tests of a worker: importing the relay takes longer than a run."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.chaos import kill_points
from tests.chaos.accelerated_clock import AcceleratedClock
from tests.chaos.environment import SPEED
from tests.chaos.preloading import cache_service_models
from tests.chaos.processes import ForkServer, fork_server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def parent() -> AsyncIterator[tuple[ForkServer, AcceleratedClock]]:
    """The process that all relays are forked from, and the clock that all share."""
    cache_service_models()
    clock = AcceleratedClock(time.time(), SPEED)
    async with fork_server(clock) as env:
        yield env, clock


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def slow_parent() -> AsyncIterator[tuple[ForkServer, AcceleratedClock]]:
    """The same with a slower clock, for functions, which start a process after each kill."""
    cache_service_models()
    clock = AcceleratedClock(time.time(), kill_points.SPEED)
    async with fork_server(clock) as env:
        yield env, clock


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def auditors() -> AsyncIterator[ForkServer]:
    """The process that audits are forked from. They have the real clock."""
    async with fork_server(AcceleratedClock(time.time(), 1.0)) as auditors:
        yield auditors
