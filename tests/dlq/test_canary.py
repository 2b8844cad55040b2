"""Canaries: who goes first, and what is awaited of them."""

from collections.abc import Sequence

import pytest

from relay.dlq.plan import Part, Plan
from relay.dlq.prediction import Known
from relay.dlq.safeguards import awaited, choose
from relay.local.clock import ManualClock
from relay.model.message import Event


def test_a_canary_has_one_of_each_group_at_least() -> None:
    parts = {
        ("a", "x"): Part(goes=9, first=["a1", "a2", "a3"]),
        ("b", "x"): Part(goes=2, first=["b1", "b2"]),
        ("c", "y"): Part(goes=0),
        ("d", "y"): Part(goes=1, first=["d1"]),
    }
    assert choose(Plan(parts=parts), 1) == {"a1", "b1", "d1"}
    assert choose(Plan(parts=parts), 5) == {"a1", "b1", "d1", "a2", "b2"}
    assert choose(Plan(), 5) == frozenset()


class Scripted:
    """A ledger that tells one thing after the other."""

    def __init__(self, *answers: Known | None) -> None:
        self._answers = list(answers)

    async def recall(self, events: Sequence[Event]) -> Sequence[Known | None]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [answer] * len(events)


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ([Known(), Known(sending_at=9.0), Known(delivered_at=11.0)], None),
        ([Known(dead_lettered_at=5.0), Known(delivered_at=11.0)], None),
        ([Known(), Known(dead_lettered_at=12.0)], "died again"),
        ([Known(sending_at=9.0)], "no outcome"),
        ([None], "no outcome"),
    ],
)
async def test_a_canary_in_the_queue_is_decided_by_the_ledger(
    answers: list[Known | None], problem: str | None
) -> None:
    clock = ManualClock(10.0)

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    told = await awaited(
        Scripted(*answers),
        [Event(id="e", name="n")],
        since=10.0,
        deadline=30.0,
        clock=clock.time,
        sleep=sleep,
    )
    assert (told is None) is (problem is None)
    assert problem is None or problem in (told or "")
