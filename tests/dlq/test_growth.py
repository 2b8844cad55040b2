"""A dead-letter queue that grows while it is emptied stops the run; lagging counters do not."""

from relay.dlq.safeguards import GrowthGuard
from relay.local.clock import ManualClock


def test_counters_that_lag_stop_no_run() -> None:
    clock = ManualClock(0.0)
    guard = GrowthGuard(1_000, clock=clock.time)
    for second in range(60):
        clock.advance(1.0)
        assert guard.problem(1_000, second * 15, second * 15, 0) is None


def test_growth_behind_the_counters_lag_stops_a_run() -> None:
    clock = ManualClock(0.0)
    guard = GrowthGuard(1_000, clock=clock.time)
    told = None
    for second in range(200):
        clock.advance(1.0)
        told = told or guard.problem(1_000, second * 5, second * 5, 0)
    assert "has grown by" in (told or "")


def test_a_few_newcomers_stop_no_run_and_many_do() -> None:
    assert GrowthGuard(10).problem(0, 0, 0, 10) is None
    assert GrowthGuard(10).problem(0, 0, 0, 11) is not None
    assert GrowthGuard(10).problem(0, 1_000, 1_000, 100) is None
