"""The manual clock."""

from __future__ import annotations

import asyncio

from relay.local.clock import ManualClock, SystemClock


async def test_sleepers_wake_in_the_order_of_their_due_times() -> None:
    clock, woken = ManualClock(now=100.0), []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.create_task(sleep(seconds)) for seconds in (3.0, 1.0, 2.0, 9.0)]
    await clock.until_asleep(4)
    clock.advance(3.0)
    await asyncio.gather(*tasks[:3])
    assert woken == [1.0, 2.0, 3.0]
    assert (clock.time(), clock.asleep) == (103.0, 1)
    tasks[3].cancel()


async def test_a_cancelled_sleeper_is_not_counted() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(5))
    await clock.until_asleep()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert clock.asleep == 0
    clock.advance(10)


async def test_a_sleep_of_zero_returns_at_once_on_either_clock() -> None:
    for clock in (ManualClock(), SystemClock()):
        before = clock.time()
        await clock.sleep(0)
        assert clock.time() >= before
