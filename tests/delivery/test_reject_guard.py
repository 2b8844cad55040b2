"""The reject guard halts on a code that suddenly becomes common, never on a few poison messages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from relay.delivery.reject_guard import HISTORY, MIN_REJECTS, WINDOW, RejectGuard
from relay.model.outcome import Reject

BAD = Reject("not_json", "the body is not JSON")
OTHER = Reject("no_name", "the event has no name")


@contextlib.asynccontextmanager
async def waiting(
    guard: RejectGuard, message_id: str, reject: Reject
) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(guard.admit(message_id, reject))
    await asyncio.sleep(0)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_lets_few_rejects_through() -> None:
    guard = RejectGuard()
    for n in range(MIN_REJECTS - 1):
        await guard.admit(f"m{n}", BAD)
    assert guard.suspicion is None


async def test_halts_when_everything_is_rejected_with_one_code() -> None:
    guard = RejectGuard()
    for n in range(MIN_REJECTS - 1):
        await guard.admit(f"m{n}", BAD)
    async with waiting(guard, "last", BAD) as task:
        assert not task.done()
        assert guard.suspicion is not None
        assert guard.suspicion.codes == ("not_json",)
        assert "RELAY_ENVELOPE" in str(guard.suspicion)


async def test_goes_on_with_other_codes_while_it_halts_one() -> None:
    guard = RejectGuard()
    for n in range(MIN_REJECTS - 1):
        await guard.admit(f"m{n}", BAD)
    async with waiting(guard, "last", BAD):
        await guard.admit("other", OTHER)


async def test_admits_the_held_rejects_when_most_messages_pass_again() -> None:
    guard = RejectGuard()
    for n in range(MIN_REJECTS - 1):
        await guard.admit(f"m{n}", BAD)
    async with waiting(guard, "last", BAD) as task:
        for n in range(MIN_REJECTS + 1):
            guard.passed(f"good{n}")
        await task
        assert guard.suspicion is None


async def test_counts_a_message_once_however_often_it_comes() -> None:
    guard = RejectGuard()
    for _ in range(10 * MIN_REJECTS):
        await guard.admit("same", BAD)
    assert guard.suspicion is None


async def test_poison_among_many_good_messages_never_halts() -> None:
    guard = RejectGuard()
    for n in range(5 * WINDOW):
        guard.passed(f"good{n}")
        if n % 3 == 0:
            await guard.admit(f"bad{n}", BAD)
    assert guard.suspicion is None


async def test_a_code_that_is_usual_needs_more_to_halt() -> None:
    guard = RejectGuard()
    for n in range(20 * WINDOW):  # two in five are always bad here: the usual rate
        guard.passed(f"good{n}")
        if n % 3:
            await guard.admit(f"bad{n}", BAD)
    for n in range(WINDOW):
        await asyncio.wait_for(guard.admit(f"flood{n}", BAD), 5)
    assert guard.suspicion is None


async def test_switched_off_it_admits_everything() -> None:
    guard = RejectGuard(enabled=False)
    for n in range(2 * WINDOW):
        await guard.admit(f"m{n}", BAD)
    assert guard.suspicion is None


@pytest.mark.parametrize("share", [0.0, 0.3])
async def test_a_sudden_flood_after_good_days_is_halted(share: float) -> None:
    guard = RejectGuard()
    for n in range(5 * WINDOW):
        guard.passed(f"good{n}")
    admitted = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            for n in range(3 * WINDOW):
                if n % 10 < share * 10:
                    guard.passed(f"still-good{n}")
                await guard.admit(f"flood{n}", BAD)
                admitted += 1
    assert guard.suspicion is not None
    assert admitted <= WINDOW


async def test_held_rejects_never_become_the_usual_rate() -> None:
    guard = RejectGuard()
    for n in range(5 * WINDOW):
        guard.passed(f"good{n}")
    for n in range(2 * HISTORY):  # a backlog that is received and released for days
        with contextlib.suppress(asyncio.CancelledError):
            async with waiting(guard, f"bad{n}", BAD) as task:
                held = not task.done()
    assert held
    assert guard.suspicion is not None
