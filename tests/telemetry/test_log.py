"""One line for each message at its end, two for an outage, none that blocks or leaks."""

from __future__ import annotations

import io
import json
import logging

from relay.model.facts import (
    CircuitChanged,
    DeadLettered,
    DeletedLate,
    DeleteFailed,
    Forwarded,
    LeaseLost,
    Received,
    ReceivingChanged,
    ReleaseFailed,
)
from relay.model.outcome import Delivered, Reject, Retry
from relay.telemetry.log import open_log
from relay.telemetry.log_format import JsonFormat
from relay.telemetry.log_observer import PROMPT, LogObserver, message_filter
from relay.telemetry.redaction import Redactor
from relay.telemetry.report import State, Window
from tests.telemetry.samples import NOW, POISON, TRACE, event, message, settled, tell, written


def test_a_messages_line_tells_everything_about_it() -> None:
    told = event(trace=TRACE)
    (line,) = written(
        Received(message()),
        Forwarded(events=7, size=1, seconds=1.0, error="away", sent=[told]),
        Forwarded(events=3, size=1, seconds=0.1, sent=[told]),
        settled(
            Delivered("01ABC"),
            results=[(told, Delivered("01ABC"))],
            about=message(receive_count=2, group_id="g"),
            notices=("unknown-field:x",),
        ),
    )
    assert line.pop("batch").endswith("-2")
    assert line.pop("timestamp") == "2025-10-09T08:53:20.000+00:00"
    assert line == {
        "level": "INFO",
        "service": "orders",
        "message": "message delivered",
        "message_id": "m-1",
        "queue": "orders",
        "receive_count": 2,
        "seconds": 0.25,
        "age": 2.0,
        "group_id": "g",
        "notices": ["unknown-field:x"],
        "event_id": "e-1",
        "event_name": "shop/paid",
        "attempts": 2,
        "batch_events": 3,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "outcome": "delivered",
        "reference": "01ABC",
    }


def test_a_problem_says_why_and_what_comes_next() -> None:
    retried, rejected = written(
        settled(Retry("held for too long", after=60.0)),
        settled(Reject("ambiguous", "perhaps", may_have_run=True)),
    )
    assert (retried["outcome"], retried["reason"], retried["after"], retried["level"]) == (
        "retried",
        "held for too long",
        60.0,
        "INFO",
    )
    assert (rejected["outcome"], rejected["code"], rejected["may_have_run"]) == (
        "rejected",
        "ambiguous",
        True,
    )
    assert rejected["level"] == "WARNING"


def test_a_message_of_several_events_lists_them() -> None:
    (line,) = written(
        settled(
            POISON,
            results=[(event("a"), Delivered("r", duplicate=True)), (event("b"), POISON)],
            rejects=((2, Reject("empty_name", "no name")),),
        )
    )
    assert (line["outcome"], line["event_count"]) == ("rejected", 3)
    assert line["events"] == [
        {
            "id": "a",
            "name": "shop/paid",
            "outcome": "delivered",
            "reference": "r",
            "duplicate": True,
        },
        {
            "id": "b",
            "name": "shop/paid",
            "outcome": "rejected",
            "code": "not_json",
            "reason": "the body is not JSON",
        },
        {"index": 2, "outcome": "rejected", "code": "empty_name", "reason": "no name"},
    ]


def test_a_message_of_very_many_events_has_several_lines_and_every_event_once() -> None:
    many = [(event(f"e-{number}"), Delivered()) for number in range(250)]
    lines = written(settled(results=many))
    assert [(line["part"], line["parts"]) for line in lines] == [(1, 3), (2, 3), (3, 3)]
    assert [entry["id"] for line in lines for entry in line["events"]] == [e.id for e, _ in many]


def test_the_payload_is_written_only_where_it_was_asked_for() -> None:
    facts = (
        settled(results=[(event(data=b'{"card":"4111"}'), Delivered())]),
        settled(POISON, [], message(body=b"card 4111")),
    )
    assert "4111" not in json.dumps(written(*facts))
    with_data, with_body = written(*facts, payload=True)
    assert with_data["data"] == '{"card":"4111"}'
    assert with_body["body"] == "card 4111"


def test_an_address_in_an_id_is_shown_without_its_query() -> None:
    (line,) = written(settled(results=[(event("https://b.host/k?sig=1f"), Delivered())]))
    assert line["event_id"] == "https://b.host/k?***"


def test_a_copy_that_lost_something_is_told_as_a_stand_in() -> None:
    letter = DeadLettered(message=message(), code="not_json", reason="no", complete=False)
    (line,) = written(letter, settled(POISON, []))
    assert line["incomplete_copy"]


def test_a_copy_whose_message_was_withdrawn_is_told_in_the_end() -> None:
    screen, now = io.StringIO(), [NOW]
    with open_log(service="orders", redactor=Redactor(), screen=screen) as log:
        observer = LogObserver(log, message_filter=message_filter("all"), clock=lambda: now[0])
        tell(observer, DeadLettered(message=message(), code="not_json", reason="no"))
        observer.tell(Window(), State())
        now[0] += PROMPT
        observer.tell(Window(), State())
        observer.tell(Window(), State())
    (line,) = map(json.loads, screen.getvalue().splitlines())
    assert (line["message_id"], line["code"]) == ("m-1", "not_json")


def test_an_outage_is_two_lines_and_so_is_trouble_with_the_queue() -> None:
    lines = written(
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
    halted, receiving = written(
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


def test_a_halt_that_no_fact_tells_of_is_two_lines_too() -> None:
    screen = io.StringIO()
    with open_log(service="orders", redactor=Redactor(), screen=screen) as log:
        observer = LogObserver(log, message_filter=message_filter("all"))
        for state in (State(), *[State(problem="most are poison", setting="RELAY_ENVELOPE")] * 3):
            observer.tell(Window(), state)
        observer.tell(Window(), State())
    start, end = map(json.loads, screen.getvalue().splitlines())
    assert (start["level"], start["setting"]) == ("ERROR", "RELAY_ENVELOPE")
    assert end["message"] == "no longer halted"


def test_a_line_has_no_fields_that_depend_on_pythons_version() -> None:
    record = logging.makeLogRecord({"msg": "hello", "taskName": "Task-7", "setting": "RELAY_X"})
    line = json.loads(JsonFormat("orders").record(record))
    assert line.keys() == {"timestamp", "level", "service", "message", "location", "setting"}


def test_what_goes_wrong_with_a_lease_names_the_message() -> None:
    lines = written(
        DeletedLate("m-1"), DeleteFailed("m-1", "no"), LeaseLost("m-1"), ReleaseFailed("m-1", "no")
    )
    assert [(line["message_id"], line["level"]) for line in lines] == [("m-1", "WARNING")] * 4


def test_a_summary_tells_what_moved() -> None:
    screen, window = io.StringIO(), Window()
    window.counters["Delivered", ""] = 12
    window.counters["Rejected", "not_json"] = 1
    window.counters["Heartbeat", ""] = 1
    with open_log(service="orders", redactor=Redactor(), screen=screen) as log:
        observer = LogObserver(log, message_filter=message_filter("all"))
        observer.tell(window, State(in_flight=3))
        observer.tell(Window(), State())
    (line,) = map(json.loads, screen.getvalue().splitlines())
    assert line["counts"] == {"Delivered": 12, "Rejected.not_json": 1}
    assert (line["in_flight"], line["circuit"]) == (3, "closed")


def test_lines_stand_in_the_order_of_what_they_tell_of() -> None:
    lines = written(
        settled(about=message("m-1")),
        settled(POISON, [], message("m-2")),
        settled(about=message("m-3")),
        LeaseLost("m-4"),
        settled(about=message("m-5")),
    )
    assert [line["message_id"] for line in lines] == ["m-1", "m-2", "m-3", "m-4", "m-5"]


def test_a_name_that_utf_8_cannot_hold_costs_no_line() -> None:
    lines = written(settled(), settled(results=[(event("e-\udce4"), Delivered())]))
    assert [line["event_id"] for line in lines] == ["e-1", "e-\udce4"]
