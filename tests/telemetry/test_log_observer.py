"""Which facts become log lines: messages by the filter, outages, halts, summaries."""

from __future__ import annotations

import io
import json

import pytest

from relay.model.facts import (
    CircuitChanged,
    DeadLettered,
    DeletedLate,
    DeleteFailed,
    LeaseLost,
    PauseChanged,
    ReceivingChanged,
    RejectGuardChanged,
    ReleaseFailed,
    StuckChanged,
)
from relay.model.outcome import Retry
from relay.output.redaction import Redactor
from relay.telemetry.log import open_log
from relay.telemetry.log_observer import SETTLE_WAIT, LogObserver, message_filter
from relay.telemetry.report import State, Window
from tests.telemetry.samples import NOW, POISON, log_lines, message, observe, settled


def test_a_dead_letter_whose_delivery_was_cancelled_is_logged_once() -> None:
    screen, now = io.StringIO(), [NOW]
    with open_log(service="orders", redactor=Redactor(), screen=screen) as log:
        observer = LogObserver(log, message_filter=message_filter("all"), clock=lambda: now[0])
        observe(observer, DeadLettered(message=message(), code="not_json", reason="no"))
        observer.on_flush(Window(), State())
        now[0] += SETTLE_WAIT
        observer.on_flush(Window(), State())
        observer.on_flush(Window(), State())
    (line,) = map(json.loads, screen.getvalue().splitlines())
    assert (line["message_id"], line["code"]) == ("m-1", "not_json")


def test_an_outage_of_destination_or_queue_has_two_lines() -> None:
    lines = log_lines(
        CircuitChanged(state="open", reason="refused", seconds=3_600.0),
        CircuitChanged(state="closed", reason="it answers again", seconds=421.0),
        ReceivingChanged(state="backing-off", reason="throttled", seconds=9.0),
        ReceivingChanged(state="open", reason="", seconds=2.0),
    )
    assert len(lines) == 4
    assert (lines[0]["circuit"], lines[1]["circuit"], lines[1]["seconds"]) == (
        "open",
        "closed",
        421.0,
    )
    assert "421 s" in lines[1]["message"]


def test_a_halt_names_the_setting() -> None:
    halted, receiving = log_lines(
        CircuitChanged(
            state="halted",
            reason="the key is wrong",
            seconds=1.0,
            setting="RELAY_INNGEST_EVENT_KEY",
        ),
        ReceivingChanged(state="halted", reason="sqs:ReceiveMessage is denied", seconds=1.0),
    )
    assert halted["level"] == receiving["level"] == "ERROR"
    assert halted["setting"] == "RELAY_INNGEST_EVENT_KEY"
    assert "sqs:ReceiveMessage" in receiving["message"]


def test_a_pause_has_two_lines_with_who_why_and_how_long() -> None:
    start, end = log_lines(
        PauseChanged(paused=True, by="ana@laptop", reason="moving", seconds=0.0),
        PauseChanged(paused=False, by="ana@laptop", reason="moving", seconds=421.0),
    )
    assert (start["paused"], start["paused_by"], start["reason"]) == (True, "ana@laptop", "moving")
    assert (end["paused"], end["seconds"]) == (False, 421.0)
    assert "after 421 s" in end["message"]


def test_being_stuck_has_two_lines_with_reason_and_setting() -> None:
    start, end = log_lines(
        StuckChanged(stuck=True, reason="not confirmed", seconds=9.0, setting="RELAY_CONFIRM"),
        StuckChanged(stuck=False, reason="not confirmed", seconds=421.0),
    )
    assert (start["level"], start["stuck"], start["setting"]) == ("ERROR", True, "RELAY_CONFIRM")
    assert "see RELAY_CONFIRM: not confirmed" in start["message"]
    assert (end["level"], end["stuck"], end["seconds"]) == ("WARNING", False, 421.0)


def test_a_halt_without_a_fact_has_two_lines_too() -> None:
    screen = io.StringIO()
    with open_log(service="orders", redactor=Redactor(), screen=screen) as log:
        observer = LogObserver(log, message_filter=message_filter("all"))
        for state in (State(), *[State(problem="most are poison", setting="RELAY_ENVELOPE")] * 3):
            observer.on_flush(Window(), state)
        observer.on_flush(Window(), State())
    start, end = map(json.loads, screen.getvalue().splitlines())
    assert (start["level"], start["setting"]) == ("ERROR", "RELAY_ENVELOPE")
    assert end["message"] == "no longer halted"


def test_a_halt_by_the_reject_guard_has_two_lines_however_short_it_is() -> None:
    sentence = "20 of the last 20 messages would be rejected"
    screen = io.StringIO()
    with open_log(service="orders", redactor=Redactor(), screen=screen) as log:
        observer = LogObserver(log, message_filter=message_filter("all"))
        for halted in (True, False):
            reason = sentence if halted else "most messages are not rejected any more"
            fact = RejectGuardChanged(
                halted=halted, reason=reason, seconds=0.5, setting="RELAY_ENVELOPE"
            )
            observe(observer, fact)
            observer.on_flush(Window(), State(problem=sentence if halted else None))
    start, end = map(json.loads, screen.getvalue().splitlines())
    assert (start["level"], start["setting"]) == ("ERROR", "RELAY_ENVELOPE")
    assert sentence in start["message"]
    assert end["message"] == "no longer halted after 0 s: most messages are not rejected any more"


def test_a_failed_delete_extension_or_release_names_the_message() -> None:
    lines = log_lines(
        DeletedLate("m-1"), DeleteFailed("m-1", "no"), LeaseLost("m-1"), ReleaseFailed("m-1", "no")
    )
    assert [(line["message_id"], line["level"]) for line in lines] == [("m-1", "WARNING")] * 4


def test_the_summary_has_the_counters_that_changed() -> None:
    screen, window = io.StringIO(), Window()
    window.counters["Delivered", ""] = 12
    window.counters["Rejected", "not_json"] = 1
    window.counters["Heartbeat", ""] = 1
    with open_log(service="orders", redactor=Redactor(), screen=screen) as log:
        observer = LogObserver(log, message_filter=message_filter("all"))
        observer.on_flush(window, State(in_flight=3))
        observer.on_flush(Window(), State())
    (line,) = map(json.loads, screen.getvalue().splitlines())
    assert line["counts"] == {"Delivered": 12, "Rejected.not_json": 1}
    assert (line["in_flight"], line["circuit"]) == (3, "closed")


def test_lines_are_in_the_order_of_the_facts() -> None:
    lines = log_lines(
        settled(of=message("m-1")),
        settled(POISON, [], message("m-2")),
        settled(of=message("m-3")),
        LeaseLost("m-4"),
        settled(of=message("m-5")),
    )
    assert [line["message_id"] for line in lines] == ["m-1", "m-2", "m-3", "m-4", "m-5"]


def test_messages_with_a_problem_are_always_logged() -> None:
    facts = [settled(), settled(POISON, []), settled(Retry("no"))]
    assert len(log_lines(*facts, messages="all")) == 3
    assert len(log_lines(*facts, messages="problems")) == 2
    assert len(log_lines(*facts, messages="1/999999")) >= 2


def test_one_in_n_selects_all_receives_of_a_message_or_none() -> None:
    facts = [settled(of=message(f"m-{number}")) for number in range(2_000)]
    once = [line["message_id"] for line in log_lines(*facts, messages="1/10")]
    assert 120 < len(once) < 290
    assert [line["message_id"] for line in log_lines(*facts, messages="1/10")] == once


@pytest.mark.parametrize("wrong", ["", "some", "1/0", "2/3", "1/", "1/10000000000"])
def test_an_invalid_filter_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        message_filter(wrong)
