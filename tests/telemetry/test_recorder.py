"""Facts become counts, each thing under its own name and once."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.model.facts import (
    DeadLettered,
    DeletedLate,
    Extended,
    Forwarded,
    HandlerRaised,
    Received,
)
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin
from relay.model.outcome import Delivered, Reject, Retry
from relay.telemetry import metrics
from relay.telemetry.recorder import Recorder
from relay.telemetry.report import Window, buckets, rounded
from tests.telemetry.samples import NOW, event, message, recorder, settled, tell


def counts(counted: Recorder) -> dict[str, int]:
    window = counted.take()
    return {m.name: window.total(m.name) for m in metrics.METRICS if window.total(m.name)}


def dead(sent_at: float | None = NOW - 9_000.0) -> Message:
    packed = Origin(id="m-0", hops=1, sent_at=sent_at, code="not_json").pack()
    return message(attributes={ATTRIBUTE: Attribute("String", packed)})


def test_a_delivered_event_counts_with_its_age() -> None:
    counted = recorder()
    tell(counted, Received(message()))
    tell(counted, settled(results=[(event(ts=int((NOW - 7.0) * 1_000)), Delivered())]))
    assert counted.window.histograms[metrics.END_TO_END_AGE.name] == {7.0: 1}
    assert counts(counted) == {"Received": 1, "Delivered": 1, "DeliveredInSlo": 1}


def test_the_objective_goes_by_the_first_sending_and_not_by_the_producers_time() -> None:
    counted = recorder(slo=60.0)
    tell(counted, settled(about=message(sent_at=NOW - 61.0), results=[(event(ts=1), Delivered())]))
    tell(counted, settled(about=dead(sent_at=NOW - 100.0)))
    tell(counted, settled(about=message(sent_at=NOW - 59.0)))
    assert counts(counted) == {"Delivered": 3, "DeliveredLate": 2, "DeliveredInSlo": 1}


def test_an_unreadable_past_leaves_the_messages_own_time() -> None:
    counted = recorder()
    odd = message(attributes={ATTRIBUTE: Attribute("String", "nonsense")})
    tell(counted, settled(about=odd))
    assert counts(counted)["DeliveredInSlo"] == 1


def test_a_message_of_unknown_age_is_in_time_for_nobody() -> None:
    counted = recorder()
    tell(counted, settled(about=message(sent_at=None)))
    assert counts(counted) == {"Delivered": 1}


def test_a_duplicate_is_delivered_and_says_nothing_about_lateness() -> None:
    counted = recorder()
    tell(counted, settled(Delivered(duplicate=True)))
    assert counts(counted) == {"Delivered": 1, "Duplicates": 1}


def test_the_events_of_an_array_count_one_by_one() -> None:
    counted = recorder()
    poison, late = Reject("fails_alone", "no"), Reject("not_an_event", "no")
    tell(
        counted,
        settled(
            poison,
            results=[(event("a"), Delivered()), (event("b"), poison)],
            rejects=((2, late), (3, late)),
        ),
    )
    window = counted.take()
    assert window.by_label("Rejected") == {"fails_alone": 1, "not_an_event": 2}
    assert (window.total("Delivered"), window.total("Rejected")) == (1, 3)


def test_a_refused_event_is_not_rejected_before_its_message_is() -> None:
    counted = recorder()
    waits, poison = Retry("held"), Reject("fails_alone", "no")
    tell(counted, settled(waits, results=[(event("a"), waits), (event("b"), poison)]))
    assert counts(counted) == {"Retried": 2}


def test_a_message_that_cannot_be_read_counts_as_one_event() -> None:
    counted = recorder()
    tell(counted, settled(Reject("not_json", "no"), results=[]))
    tell(counted, settled(Retry("the dead-letter queue is away"), results=[]))
    tell(counted, settled(Delivered(), results=[]))
    assert counts(counted) == {"Rejected": 1, "Retried": 1}


def test_an_ambiguous_event_is_counted_as_such_too() -> None:
    counted = recorder()
    tell(counted, settled(Reject("ambiguous", "perhaps", may_have_run=True)))
    assert counts(counted) == {"Rejected": 1, "Ambiguous": 1}


def test_a_redriven_message_counts_once_however_often_it_comes() -> None:
    counted = recorder()
    tell(counted, Received(dead()))
    tell(counted, Received(replace(dead(), receive_count=2)))
    assert counts(counted) == {"Received": 2, "Redriven": 1}


def test_requests_leases_and_dead_letters_are_counted() -> None:
    counted = recorder()
    tell(counted, Forwarded(events=40, size=1, seconds=0.0213))
    tell(counted, Forwarded(events=1, size=1, seconds=31.0, error="away"))
    tell(counted, Extended(count=10, failed=1))
    tell(counted, DeletedLate("m-1"))
    tell(counted, DeadLettered(message=message(), code="not_json", reason="no"))
    tell(counted, HandlerRaised(message(), ValueError()))
    assert counted.window.histograms["BatchSize"] == {40.0: 1, 1.0: 1}
    assert counted.window.histograms["ForwardLatency"] == {0.021: 1, 31.0: 1}
    assert counts(counted) == {"VisibilityExtensions": 10, "LateDeletes": 1, "DeadLettered": 1}


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-5, max_value=1e9))
def test_a_rounded_value_is_at_most_a_twentieth_off(value: float) -> None:
    assert math.isclose(rounded(value), value, rel_tol=0.051)


@given(st.lists(st.floats(allow_nan=False), max_size=50))
def test_any_value_is_rounded_to_something_that_json_and_aws_can_hold(values: list[float]) -> None:
    assert all(0.0 <= rounded(value) <= 1e9 for value in values)


@pytest.mark.parametrize("value", [0, 1, 2, 9, 10, 42, 99, 100])
def test_small_whole_numbers_stay_exact(value: int) -> None:
    assert rounded(value) == value


def test_the_buckets_of_a_histogram_are_bounded() -> None:
    assert len({rounded(10 ** (power / 1_000)) for power in range(-20_000, 20_000)}) < 1_500


def test_parts_of_a_histogram_have_all_of_its_values() -> None:
    window = Window()
    for value in range(250):
        window.histograms["x"][float(value)] += 2
    parts = list(buckets(window.histograms["x"], 100))
    assert [len(values) for values, _ in parts] == [100, 100, 50]
    assert sum(sum(found) for _, found in parts) == 500
