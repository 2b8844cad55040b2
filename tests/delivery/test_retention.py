"""How long a message may be hidden, and how often the queue is looked at, by its retention."""

from __future__ import annotations

import math

import pytest

from relay.aws.sqs_values import read_attributes
from relay.delivery.retention import (
    CHECK_EVERY,
    GRACE,
    SWEEP_EVERY,
    Retention,
    longest_lease,
    retention_for,
)
from relay.model.message import Message

NOW = 1_000_000.0
DAY = 86_400.0


def retention(seconds: float | None, hidden: float = 0.0, waiting: int = 0) -> Retention:
    found = Retention(seconds, hidden=hidden, clock=lambda: NOW)
    if seconds is not None:
        counted = {"MessageRetentionPeriod": f"{seconds:.0f}"}
        found.update(read_attributes({**counted, "ApproximateNumberOfMessages": f"{waiting}"}))
    return found


def aged(seconds: float) -> Message:
    return Message(body=b"", message_id="m-1", queue="main", sent_at=NOW - seconds)


@pytest.mark.parametrize(
    ("keeps", "age", "longest"),
    [
        (120.0, 0.0, 108.0),
        (300.0, 148.0, 122.0),
        (4 * DAY, 3.55 * DAY, 0.05 * DAY),
        # Past 90 %, for a message that could not be dead-lettered: a quarter of what is left.
        (300.0, 280.0, 5.0),
        (300.0, 299.0, 1.0),
        (300.0, 500.0, 1.0),
    ],
)
def test_a_message_is_hidden_up_to_nine_tenths_of_the_retention(
    keeps: float, age: float, longest: float
) -> None:
    assert retention(keeps).longest_hide(aged(age)) == pytest.approx(longest, abs=1e-3)


def test_without_a_known_retention_or_age_nothing_is_limited() -> None:
    unknown = Message(body=b"", message_id="m-1", queue="main")
    for known, message in ((retention(None), aged(99 * DAY)), (retention(60.0), unknown)):
        assert known.longest_hide(message) == math.inf
        assert not known.must_end(message)
        assert not known.expiring(message)


@pytest.mark.parametrize(
    ("hidden", "age", "ends"),
    [(0.0, 268.0, False), (0.0, 269.5, True), (5.0, 264.0, False), (5.0, 266.0, True)],
)
def test_a_message_ends_if_the_shortest_time_that_it_can_be_hidden_is_too_long(
    hidden: float, age: float, *, ends: bool
) -> None:
    assert retention(300.0, hidden).must_end(aged(age)) is ends


@pytest.mark.parametrize("keeps", [60.0, 120.0, 300.0, 3_600.0, DAY, 4 * DAY, 13 * DAY, 14 * DAY])
def test_everything_that_takes_time_fits_into_the_last_tenth(keeps: float) -> None:
    found = retention(keeps)
    before_it_ends = found.sweep_every + found.grace + 2 * found.check_every + found.longest_pause
    assert before_it_ends < 0.1 * keeps
    assert longest_lease(keeps) <= 0.05 * keeps + 0.5


def test_a_retention_of_days_needs_no_more_looks_than_before() -> None:
    found = retention(13 * DAY)
    assert (found.sweep_every, found.check_every, found.grace) == (SWEEP_EVERY, CHECK_EVERY, GRACE)
    assert retention(None).sweep_every == SWEEP_EVERY


def test_the_queue_is_looked_at_more_often_the_more_messages_wait() -> None:
    looks = [retention(300.0, waiting=count).sweep_every for count in (0, 1_000, 2_000, 9_000)]
    assert looks == sorted(looks, reverse=True)
    assert looks[0] > looks[2] >= looks[3] >= 0.7


@pytest.mark.parametrize(("tenth", "keeps"), [(1_080, 10_800), (30.01, 301), (6, 60)])
def test_the_retention_for_a_last_tenth(tenth: float, keeps: int) -> None:
    assert retention_for(tenth) == keeps
