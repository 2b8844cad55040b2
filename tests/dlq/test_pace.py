"""A pace: a rate that is kept to, and no longer than wanted."""

import asyncio

from relay.dlq.safeguards import RateLimit
from relay.local.clock import ManualClock


async def test_a_pace_keeps_to_its_rate() -> None:
    clock = ManualClock(0.0)

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    pace = RateLimit(20.0, clock=clock.time, sleep=sleep)
    for _ in range(5):
        await pace.wait(10)
    assert clock.time() == 2.0


async def test_a_stop_waits_for_no_pace() -> None:
    stop = asyncio.Event()
    pace = RateLimit(0.01, stop=stop)
    await pace.wait(10)
    waiting = asyncio.create_task(pace.wait(10))
    await asyncio.sleep(0)
    stop.set()
    await waiting
    await pace.wait(10)
