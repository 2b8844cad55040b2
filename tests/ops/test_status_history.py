"""The status over time: throughput, percentiles of ages, and the states of a circuit."""

from __future__ import annotations

import pytest

from relay.ops.status import RelayStatus, StatusReport
from relay.ops.status_history import StatusHistory

URL = "http://relay"


def report(at: float, delivered: float | None = None, **more: object) -> StatusReport:
    counters = {} if delivered is None else {"Delivered": delivered}
    given = {"circuit": "closed", **more}
    status = RelayStatus(url=URL, counters=counters, **given)  # type: ignore[arg-type]  # as the test has them
    return StatusReport(at=at, relays=(status,))


def history(*reports: StatusReport) -> StatusHistory:
    found = StatusHistory(kept=100.0)
    for one in reports:
        found.add(one)
    return found


def test_without_a_report_nothing_is_known() -> None:
    empty = history()
    assert empty.last is None
    assert empty.rates() == {}
    assert empty.throughput(URL, slots=2, seconds=10.0) == (None, None)
    assert empty.ages(URL) is None
    assert empty.periods(URL) == []


def test_throughput_is_an_average_for_each_slot() -> None:
    found = history(report(0, 0), report(5, 50), report(10, 50), report(15, 80))
    assert found.throughput(URL, slots=3, seconds=5.0) == (10.0, 0.0, 6.0)


def test_a_relay_that_restarts_or_does_not_answer_leaves_no_negative_throughput() -> None:
    found = history(report(0, 100), report(5, 20), report(10), report(15, 60), report(20, 70))
    assert found.throughput(URL, slots=4, seconds=5.0) == (4.0, None, None, 2.0)


def test_old_reports_are_dropped() -> None:
    found = history(report(0, 0), report(50, 0), report(120, 0))
    assert len(found) == 2


def test_a_period_lasts_until_the_state_changes() -> None:
    found = history(
        report(0),
        report(10),
        report(20, circuit="halted"),
        report(30, circuit=None),
        report(40),
    )
    periods = [(one.state, one.since, one.seconds) for one in found.periods(URL)]
    assert periods == [("closed", 0, 20), ("halted", 20, 10), (None, 30, 10), ("closed", 40, 0)]


INF = float("inf")


def test_percentiles_are_of_what_was_delivered_lately_and_interpolated_within_a_bucket() -> None:
    first = {1.0: 1_000.0, 2.0: 1_000.0, INF: 1_000.0}
    later = {1.0: 1_050.0, 2.0: 1_100.0, INF: 1_100.0}
    ages = history(report(0, ages=first), report(10, ages=later)).ages(URL)
    assert ages == {50: 1.0, 95: pytest.approx(1.9), 99: pytest.approx(1.98)}


def test_percentiles_of_one_report_are_since_the_start_and_so_are_those_after_a_restart() -> None:
    counts = {1.0: 10.0, 2.0: 10.0, INF: 10.0}
    assert history(report(0, ages=counts)).ages(URL) == pytest.approx({50: 0.5, 95: 0.95, 99: 0.99})
    more = {1.0: 90.0, 2.0: 90.0, INF: 90.0}
    restarted = history(report(0, ages=more), report(10, ages=counts))
    assert restarted.ages(URL) == pytest.approx({50: 0.5, 95: 0.95, 99: 0.99})


def test_an_age_above_the_last_bound_counts_as_that_bound() -> None:
    assert history(report(0, ages={1.0: 0.0, INF: 5.0})).ages(URL) == {50: 1.0, 95: 1.0, 99: 1.0}


def test_nothing_delivered_has_no_percentiles() -> None:
    same = {1.0: 5.0, INF: 5.0}
    assert history(report(0, ages=same), report(10, ages=same)).ages(URL) is None
