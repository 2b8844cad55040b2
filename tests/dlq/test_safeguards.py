"""The canary, the guard against a growing queue, and the rate limit."""

import asyncio
from collections.abc import Sequence

import pytest

from relay.dlq.plan import GroupPlan, Plan
from relay.dlq.prediction import LedgerState
from relay.dlq.safeguards import GrowthGuard, RateLimit, await_canary, choose_canary
from relay.local.clock import ManualClock
from relay.model.event import Event


def test_a_canary_has_at_least_one_of_each_group() -> None:
    groups = {
        ("a", "x"): GroupPlan(selected=9, sample=["a1", "a2", "a3"]),
        ("b", "x"): GroupPlan(selected=2, sample=["b1", "b2"]),
        ("c", "y"): GroupPlan(selected=0),
        ("d", "y"): GroupPlan(selected=1, sample=["d1"]),
    }
    assert choose_canary(Plan(groups=groups), 1) == {"a1", "b1", "d1"}
    assert choose_canary(Plan(groups=groups), 5) == {"a1", "b1", "d1", "a2", "b2"}
    assert choose_canary(Plan(), 5) == frozenset()


class Scripted:
    """A ledger with scripted answers; the last one is repeated."""

    def __init__(self, *answers: LedgerState | None) -> None:
        self._answers = list(answers)

    async def look_up(self, events: Sequence[Event]) -> Sequence[LedgerState | None]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [answer] * len(events)


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ([LedgerState(), LedgerState(sending_at=9.0), LedgerState(delivered_at=11.0)], None),
        ([LedgerState(dead_lettered_at=5.0), LedgerState(delivered_at=11.0)], None),
        ([LedgerState(), LedgerState(dead_lettered_at=12.0)], "dead-lettered again"),
        ([LedgerState(sending_at=9.0)], "no outcome"),
        ([None], "no outcome"),
    ],
)
async def test_the_ledger_decides_about_a_canary_through_the_queue(
    answers: list[LedgerState | None], problem: str | None
) -> None:
    clock = ManualClock(10.0)

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    found = await await_canary(
        Scripted(*answers),
        [Event(id="e", name="n")],
        since=10.0,
        deadline=30.0,
        clock=clock.time,
        sleep=sleep,
    )
    assert (found is None) is (problem is None)
    assert problem is None or problem in (found or "")


def test_lagging_counters_do_not_stop_a_run() -> None:
    clock = ManualClock(0.0)
    guard = GrowthGuard(1_000, clock=clock.time)
    for second in range(60):
        clock.advance(1.0)
        assert guard.problem(1_000, second * 15, second * 15, 0) is None


def test_growth_behind_lagging_counters_stops_a_run() -> None:
    clock = ManualClock(0.0)
    guard = GrowthGuard(1_000, clock=clock.time)
    found = None
    for second in range(200):
        clock.advance(1.0)
        found = found or guard.problem(1_000, second * 5, second * 5, 0)
    assert "has grown by" in (found or "")


def test_a_few_new_dead_letters_do_not_stop_a_run_and_many_do() -> None:
    assert GrowthGuard(10).problem(0, 0, 0, 10) is None
    assert GrowthGuard(10).problem(0, 0, 0, 11) is not None
    assert GrowthGuard(10).problem(0, 1_000, 1_000, 100) is None


async def test_a_rate_limit_is_kept() -> None:
    clock = ManualClock(0.0)

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    limit = RateLimit(20.0, clock=clock.time, sleep=sleep)
    for _ in range(5):
        await limit.wait(10)
    assert clock.time() == 2.0


async def test_a_stop_ends_the_waiting() -> None:
    stop = asyncio.Event()
    limit = RateLimit(0.01, stop=stop)
    await limit.wait(10)
    waiting = asyncio.create_task(limit.wait(10))
    await asyncio.sleep(0)
    stop.set()
    await waiting
    await limit.wait(10)
