"""The recorder counts each thing once and under its own name."""

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
    RejectHeld,
)
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin
from relay.model.outcome import Delivered, Reject, Retry
from relay.telemetry import metrics
from relay.telemetry.recorder import Recorder
from relay.telemetry.report import Window, rounded, value_chunks
from tests.telemetry.samples import NOW, event, message, observe, settled


def counts(recorder: Recorder) -> dict[str, int]:
    window = recorder.take()
    return {m.name: window.total(m.name) for m in metrics.METRICS if window.total(m.name)}


def dead(sent_at: float | None = NOW - 9_000.0) -> Message:
    packed = Origin(id="m-0", hops=1, sent_at=sent_at, code="not_json").pack()
    return message(attributes={ATTRIBUTE: Attribute("String", packed)})


def test_a_delivered_event_counts_with_its_age() -> None:
    recorder = Recorder()
    observe(recorder, Received(message()))
    observe(recorder, settled(results=[(event(ts=int((NOW - 7.0) * 1_000)), Delivered())]))
    assert recorder.window.histograms[metrics.END_TO_END_AGE.name] == {7.0: 1}
    assert counts(recorder) == {"Received": 1, "Delivered": 1, "DeliveredInSlo": 1}


def test_the_objective_counts_from_the_first_send_and_not_from_the_producers_time() -> None:
    recorder = Recorder(slo=60.0)
    observe(recorder, settled(of=message(sent_at=NOW - 61.0), results=[(event(ts=1), Delivered())]))
    observe(recorder, settled(of=dead(sent_at=NOW - 100.0)))
    observe(recorder, settled(of=message(sent_at=NOW - 59.0)))
    assert counts(recorder) == {"Delivered": 3, "DeliveredLate": 2, "DeliveredInSlo": 1}


def test_with_an_unreadable_origin_the_messages_own_time_counts() -> None:
    recorder = Recorder()
    odd = message(attributes={ATTRIBUTE: Attribute("String", "nonsense")})
    observe(recorder, settled(of=odd))
    assert counts(recorder)["DeliveredInSlo"] == 1


def test_a_message_of_unknown_age_is_neither_late_nor_in_time() -> None:
    recorder = Recorder()
    observe(recorder, settled(of=message(sent_at=None)))
    assert counts(recorder) == {"Delivered": 1}


def test_a_duplicate_counts_as_delivered_but_neither_late_nor_in_time() -> None:
    recorder = Recorder()
    observe(recorder, settled(Delivered(duplicate=True)))
    assert counts(recorder) == {"Delivered": 1, "Duplicates": 1}


def test_the_events_of_an_array_count_one_by_one() -> None:
    recorder = Recorder()
    poison, late = Reject("fails_alone", "no"), Reject("not_an_event", "no")
    observe(
        recorder,
        settled(
            poison,
            results=[(event("a"), Delivered()), (event("b"), poison)],
            rejects=((2, late), (3, late)),
        ),
    )
    window = recorder.take()
    assert window.by_label("Rejected") == {"fails_alone": 1, "not_an_event": 2}
    assert (window.total("Delivered"), window.total("Rejected")) == (1, 3)


def test_an_event_counts_as_rejected_only_once_its_message_is() -> None:
    recorder = Recorder()
    waits, poison = Retry("held"), Reject("fails_alone", "no")
    observe(recorder, settled(waits, results=[(event("a"), waits), (event("b"), poison)]))
    assert counts(recorder) == {"Retried": 2}


def test_a_message_that_cannot_be_decoded_counts_as_one_event() -> None:
    recorder = Recorder()
    observe(recorder, settled(Reject("not_json", "no"), results=[]))
    observe(recorder, settled(Retry("the dead-letter queue is away"), results=[]))
    observe(recorder, settled(Delivered(), results=[]))
    assert counts(recorder) == {"Rejected": 1, "Retried": 1}


def test_an_ambiguous_event_has_a_count_of_its_own_too() -> None:
    recorder = Recorder()
    observe(recorder, settled(Reject("ambiguous", "perhaps", may_have_run=True)))
    assert counts(recorder) == {"Rejected": 1, "Ambiguous": 1}


def test_a_redriven_message_counts_once_however_often_it_is_received() -> None:
    recorder = Recorder()
    observe(recorder, Received(dead()))
    observe(recorder, Received(replace(dead(), receive_count=2)))
    assert counts(recorder) == {"Received": 2, "Redriven": 1}


def test_requests_extensions_and_dead_letters_are_counted() -> None:
    recorder = Recorder()
    observe(recorder, Forwarded(events=40, size=1, seconds=0.0213))
    observe(recorder, Forwarded(events=1, size=1, seconds=31.0, error="away"))
    observe(recorder, Extended(count=10, failed=1))
    observe(recorder, DeletedLate("m-1"))
    observe(recorder, DeadLettered(message=message(), code="not_json", reason="no"))
    observe(recorder, RejectHeld(message(), "not_json"))
    observe(recorder, HandlerRaised(message(), ValueError()))
    assert recorder.window.histograms["BatchSize"] == {40.0: 1, 1.0: 1}
    assert recorder.window.histograms["ForwardLatency"] == {0.021: 1, 31.0: 1}
    assert counts(recorder) == {
        "VisibilityExtensions": 10,
        "LateDeletes": 1,
        "DeadLettered": 1,
        "RejectsHeld": 1,
    }


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-5, max_value=1e9))
def test_a_rounded_value_is_at_most_5_percent_off(value: float) -> None:
    assert math.isclose(rounded(value), value, rel_tol=0.051)


@given(st.lists(st.floats(allow_nan=False), max_size=50))
def test_any_value_is_rounded_to_one_that_json_and_aws_accept(values: list[float]) -> None:
    assert all(0.0 <= rounded(value) <= 1e9 for value in values)


@pytest.mark.parametrize("value", [0, 1, 2, 9, 10, 42, 99, 100])
def test_small_whole_numbers_stay_exact(value: int) -> None:
    assert rounded(value) == value


def test_the_buckets_of_a_histogram_are_bounded() -> None:
    assert len({rounded(10 ** (power / 1_000)) for power in range(-20_000, 20_000)}) < 1_500


def test_the_chunks_of_a_histogram_have_all_of_its_values() -> None:
    window = Window()
    for value in range(250):
        window.histograms["x"][float(value)] += 2
    parts = list(value_chunks(window.histograms["x"], 100))
    assert [len(values) for values, _ in parts] == [100, 100, 50]
    assert sum(sum(found) for _, found in parts) == 500
