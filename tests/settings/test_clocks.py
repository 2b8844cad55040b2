"""The default clocks have no conflict, and each conflict is reported with its fix."""

import dataclasses
import subprocess
import sys

import pytest

from relay.delivery.retention import EXPIRING_SHARE
from relay.settings import clocks
from relay.settings.clocks import Clocks, LambdaClocks


def test_the_default_clocks_have_no_conflict() -> None:
    assert Clocks().problems() == []


def test_the_default_hold_is_the_longest_that_the_margin_allows() -> None:
    assert Clocks().longest_answer == clocks.INACTIVITY_TIMEOUT - clocks.ANSWER_MARGIN


@pytest.mark.parametrize(
    ("change", "variable", "fix"),
    [
        ({"hold": 781.0}, "RELAY_HOLD", "780"),
        ({"confirm_deadline": 61.0}, "RELAY_CONFIRM_DEADLINE", "779"),
        ({"sqsd_visibility_timeout": 1_019.0}, "RELAY_SQSD_VISIBILITY_TIMEOUT", "1020"),
        ({"nginx_read_timeout": 900.0}, "RELAY_NGINX_READ_TIMEOUT", "960"),
        ({"sqsd_error_visibility_timeout": 2.0}, "RELAY_SQSD_ERROR_VISIBILITY_TIMEOUT", "72 h"),
        ({"max_receive_count": 10}, "RELAY_MAX_RECEIVE_COUNT", "1000"),
        ({"sqsd_retention": 345_600.0}, "RELAY_SQSD_RETENTION", "RetentionPeriod"),
        ({"dlq_retention": 1_123_200.0}, "RELAY_DLQ_RETENTION", "RELAY_QUEUE_RETENTION"),
        ({"queue_retention": 1_859.0}, "RELAY_QUEUE_RETENTION", "1860"),
    ],
)
def test_a_conflict_names_the_variable_and_the_fix(
    change: dict[str, float], variable: str, fix: str
) -> None:
    (problem,) = dataclasses.replace(Clocks(), **change).problems()  # type: ignore[arg-type] # floats and one int
    assert variable in problem
    assert fix in problem


def test_receives_need_not_outlast_the_retention() -> None:
    five_minutes = Clocks(
        hold=0,
        request_timeout=10,
        confirm_deadline=10,
        sqsd_inactivity_timeout=60,
        sqsd_visibility_timeout=180,
        sqsd_error_visibility_timeout=5,
        queue_retention=300,
    )
    assert five_minutes.problems() == []
    assert dataclasses.replace(five_minutes, max_receive_count=59).problems()


def test_every_conflict_is_reported() -> None:
    broken = Clocks(
        hold=5_000.0,
        sqsd_visibility_timeout=10.0,
        nginx_read_timeout=60.0,
        max_receive_count=1,
        sqsd_retention=60.0,
        dlq_retention=60.0,
    )
    assert len(broken.problems()) == 6


def test_a_message_expires_before_an_outage_uses_up_its_receives() -> None:
    receives = clocks.QUEUE_RETENTION * EXPIRING_SHARE
    receives /= clocks.HOLD + clocks.ERROR_VISIBILITY_TIMEOUT
    assert receives < clocks.MAX_RECEIVE_COUNT


def test_the_module_needs_only_the_standard_library() -> None:
    code = "import sys, relay.settings.clocks; print([m for m in sys.modules if 'pydantic' in m])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("clocks", "outcome_timeout"),
    [
        (Clocks(), 780.0),
        (Clocks(hold=0.0), 120.0),
        (Clocks(hold=0.0, request_timeout=100.0), 160.0),
        (Clocks(hold=0.0, sqsd_inactivity_timeout=130.0), 100.0),
    ],
)
def test_a_request_waits_long_enough_for_an_attempt_even_with_a_short_hold(
    clocks: Clocks, outcome_timeout: float
) -> None:
    assert clocks.outcome_timeout == outcome_timeout


def test_the_default_clocks_of_lambda_have_no_conflict() -> None:
    assert LambdaClocks().problems() == []
    assert LambdaClocks().lambda_visibility_timeout == clocks.VISIBILITY_TIMEOUT


@pytest.mark.parametrize(
    ("change", "variable", "fix"),
    [
        ({"lambda_timeout": 119.0}, "RELAY_LAMBDA_TIMEOUT", "120 s"),
        (
            {"lambda_timeout": 901.0, "lambda_visibility_timeout": 6_000.0},
            "RELAY_LAMBDA_TIMEOUT",
            "900",
        ),
        ({"confirm_deadline": 121.0}, "RELAY_CONFIRM_DEADLINE", "181 s"),
        ({"lambda_visibility_timeout": 1_079.0}, "RELAY_LAMBDA_VISIBILITY_TIMEOUT", "1080"),
        ({"batching_window": 20.0}, "RELAY_LAMBDA_VISIBILITY_TIMEOUT", "1100"),
        ({"max_receive_count": 248}, "RELAY_MAX_RECEIVE_COUNT", "1000"),
    ],
)
def test_a_conflict_of_lambda_names_the_variable_and_the_fix(
    change: dict[str, float], variable: str, fix: str
) -> None:
    (problem,) = dataclasses.replace(LambdaClocks(), **change).problems()  # type: ignore[arg-type] # floats and one int
    assert variable in problem
    assert fix in problem


@pytest.mark.parametrize(
    ("outage", "receives"),
    [(0.0, 1), (1.0, 1), (2.0, 2), (5.9, 2), (6.0, 3), (2_046.0, 11), (6 * 3_600.0, 29)],
)
def test_what_an_outage_costs_on_lambda(outage: float, receives: int) -> None:
    assert LambdaClocks().receives(outage) == receives


def test_on_lambda_no_outage_reaches_the_shipped_receive_count_within_the_retention() -> None:
    shipped = LambdaClocks()
    assert shipped.receives(EXPIRING_SHARE * clocks.QUEUE_RETENTION) < shipped.max_receive_count
