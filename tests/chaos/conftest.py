"""One zygote for all chaos tests of a worker: importing the relay costs more than a run of it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.chaos.accelerated_clock import Haste
from tests.chaos.environment import SPEED
from tests.chaos.preloading import remember_service_models
from tests.chaos.processes import Zygote, zygote


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def parent() -> AsyncIterator[tuple[Zygote, Haste]]:
    """What every relay is forked from, and the time that all share."""
    remember_service_models()
    haste = Haste(time.time(), SPEED)
    async with zygote(haste) as made:
        yield made, haste
