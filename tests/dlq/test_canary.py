"""Canaries: who goes first, and what is awaited of them."""

from collections.abc import Sequence

import pytest

from relay.dlq.plan import GroupPlan, Plan
from relay.dlq.prediction import LedgerState
from relay.dlq.safeguards import await_canary, choose_canary
from relay.local.clock import ManualClock
from relay.model.event import Event


def test_a_canary_has_one_of_each_group_at_least() -> None:
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
    """A ledger that tells one thing after the other."""

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
        ([LedgerState(), LedgerState(dead_lettered_at=12.0)], "died again"),
        ([LedgerState(sending_at=9.0)], "no outcome"),
        ([None], "no outcome"),
    ],
)
async def test_a_canary_in_the_queue_is_decided_by_the_ledger(
    answers: list[LedgerState | None], problem: str | None
) -> None:
    clock = ManualClock(10.0)

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    told = await await_canary(
        Scripted(*answers),
        [Event(id="e", name="n")],
        since=10.0,
        deadline=30.0,
        clock=clock.time,
        sleep=sleep,
    )
    assert (told is None) is (problem is None)
    assert problem is None or problem in (told or "")
