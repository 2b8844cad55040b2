"""Whatever table, orchestrator and relay do, nothing is lost and nothing runs twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.model.outcome import Delivered, Outcome, Reject
from tests.delivery.ledger.scripted import (
    HOUR,
    MemoryTable,
    Orchestrator,
    RelayWithLedger,
    denied,
    event,
    throttled,
)
from tests.forwarding.virtual_time import run

IDS = ("a", "b", "c")
FAILURES: dict[str, Callable[[], Exception | int | None]] = {
    "none": lambda: None,
    "denied": denied,
    "throttled": throttled,
    "partial": lambda: 1,
    "hangs": TimeoutError,
}


@dataclass(frozen=True)
class Delivery:
    """A delivery of the events to a relay that may be killed, and the time until the next one."""

    endings: tuple[str, ...]
    failures: tuple[str, ...]
    killed_after: float | None
    pause: float


def deliveries(failures: st.SearchStrategy[str]) -> st.SearchStrategy[list[Delivery]]:
    ending = st.sampled_from(["ok", "ok", "answer_lost", "request_lost", "refused"])
    return st.lists(
        st.builds(
            Delivery,
            endings=st.lists(ending, max_size=6).map(tuple),
            failures=st.lists(failures, max_size=6).map(tuple),
            killed_after=st.none() | st.sampled_from([0.001, 0.007, 0.012, 0.02, 0.031, 0.04, 5.0]),
            pause=st.sampled_from([60.0, 20 * HOUR, 23 * HOUR, 25 * HOUR, 100 * HOUR]),
        ),
        min_size=1,
        max_size=5,
    )


def _next(failures: Iterator[str]) -> Exception | int | None:
    return FAILURES[next(failures, "none")]()


async def _live(
    table: MemoryTable, orchestrator: Orchestrator, delivery: Delivery
) -> list[Outcome | None]:
    orchestrator.script = iter(delivery.endings)
    failures = iter(delivery.failures)
    table.failures = lambda _call: _next(failures)
    relay = RelayWithLedger(table, orchestrator)
    tasks = [asyncio.create_task(relay.ledger.submit(event(name))) for name in IDS]
    await asyncio.wait(tasks, timeout=delivery.killed_after)
    outcomes = [task.result() if task.done() else None for task in tasks]
    for task in tasks:
        task.cancel()
    await relay.crash()
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
@given(deliveries(st.sampled_from(list(FAILURES))))
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
@given(deliveries(st.sampled_from(list(FAILURES))))
def test_a_last_delivery_without_faults_settles_every_event(script: list[Delivery]) -> None:
    async def main() -> None:
        table, orchestrator = MemoryTable(), Orchestrator()
        for delivery in script:
            await _live(table, orchestrator, delivery)
        outcomes = await _live(table, orchestrator, Delivery((), (), None, 0))
        assert all(isinstance(outcome, Delivered | Reject) for outcome in outcomes)

    run(main)
