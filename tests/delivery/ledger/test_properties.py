"""Whatever table, orchestrator and relay do: nothing is lost, and nothing runs twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.model.outcome import Delivered, Outcome, Reject
from tests.delivery.ledger.scripted import (
    HOUR,
    Life,
    MemoryTable,
    Orchestrator,
    denied,
    event,
    throttled,
)
from tests.forwarding.virtual_time import run

IDS = ("a", "b", "c")
TROUBLES: dict[str, Callable[[], Exception | int | None]] = {
    "none": lambda: None,
    "denied": denied,
    "throttled": throttled,
    "partial": lambda: 1,
    "hangs": TimeoutError,
}


@dataclass(frozen=True)
class Delivery:
    """The events come to a relay, which may be killed; then time passes until they come again."""

    endings: tuple[str, ...]
    troubles: tuple[str, ...]
    killed_after: float | None
    pause: float


def deliveries(troubles: st.SearchStrategy[str]) -> st.SearchStrategy[list[Delivery]]:
    ending = st.sampled_from(["ok", "ok", "lost", "unheard", "refused"])
    return st.lists(
        st.builds(
            Delivery,
            endings=st.lists(ending, max_size=6).map(tuple),
            troubles=st.lists(troubles, max_size=6).map(tuple),
            killed_after=st.none() | st.sampled_from([0.001, 0.007, 0.012, 0.02, 0.031, 0.04, 5.0]),
            pause=st.sampled_from([60.0, 20 * HOUR, 23 * HOUR, 25 * HOUR, 100 * HOUR]),
        ),
        min_size=1,
        max_size=5,
    )


def _next(troubles: Iterator[str]) -> Exception | int | None:
    return TROUBLES[next(troubles, "none")]()


async def _live(
    table: MemoryTable, orchestrator: Orchestrator, delivery: Delivery
) -> list[Outcome | None]:
    orchestrator.script = iter(delivery.endings)
    troubles = iter(delivery.troubles)
    table.troubles = lambda _call: _next(troubles)
    life = Life(table, orchestrator)
    tasks = [asyncio.create_task(life.ledger.submit(event(name))) for name in IDS]
    await asyncio.wait(tasks, timeout=delivery.killed_after)
    outcomes = [task.result() if task.done() else None for task in tasks]
    for task in tasks:
        task.cancel()
    await life.crash()
    await asyncio.sleep(delivery.pause)
    return outcomes


@settings(deadline=None)
@given(deliveries(st.just("none")))
def test_with_a_healthy_table_nothing_runs_twice_however_late_it_is_redelivered(
    script: list[Delivery],
) -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        for delivery in script:
            await _live(table, orchestrator, delivery)
            assert max(orchestrator.runs.values(), default=0) <= 1

    run(main)


@settings(deadline=None)
@given(deliveries(st.sampled_from(list(TROUBLES))))
def test_nothing_counts_as_delivered_that_never_ran_whatever_the_table_does(
    script: list[Delivery],
) -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        for delivery in script:
            outcomes = await _live(table, orchestrator, delivery)
            for name, outcome in zip(IDS, outcomes, strict=True):
                if isinstance(outcome, Delivered):
                    assert orchestrator.runs[name] >= 1
                elif outcome is not None:
                    assert isinstance(outcome, Reject)
                    assert (outcome.code, outcome.may_have_run) == ("ambiguous", True)

    run(main)


@settings(deadline=None)
@given(deliveries(st.sampled_from(list(TROUBLES))))
def test_a_last_delivery_without_faults_settles_every_event(script: list[Delivery]) -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        for delivery in script:
            await _live(table, orchestrator, delivery)
        outcomes = await _live(table, orchestrator, Delivery((), (), None, 0))
        assert all(isinstance(outcome, Delivered | Reject) for outcome in outcomes)

    run(main)
