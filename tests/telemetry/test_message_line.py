"""The line of a message: its fields, for every outcome."""

from __future__ import annotations

import json

from relay.model.facts import DeadLettered, Forwarded, Received
from relay.model.message import Attribute
from relay.model.origin import ATTRIBUTE, Origin
from relay.model.outcome import Delivered, Reject, Retry
from relay.telemetry.message_line import MAX_DATA, MAX_EVENTS, MAX_REASON
from tests.telemetry.samples import POISON, TRACE, event, log_lines, message, settled


def test_the_line_of_a_message_has_all_its_fields() -> None:
    sent = event(trace=TRACE)
    (line,) = log_lines(
        Received(message()),
        Forwarded(events=7, size=1, seconds=1.0, error="away", sent=[sent]),
        Forwarded(events=3, size=1, seconds=0.1, sent=[sent]),
        settled(
            Delivered("01ABC"),
            results=[(sent, Delivered("01ABC"))],
            of=message(receive_count=2, group_id="g"),
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


def test_the_line_of_a_redriven_message_links_it_to_the_first_one() -> None:
    attribute = Attribute("String", Origin(id="m-0", hops=2).pack())
    line, unreadable = log_lines(
        settled(of=message(attributes={ATTRIBUTE: attribute})),
        settled(of=message(attributes={ATTRIBUTE: Attribute("String", "{")})),
    )
    assert (line["base_id"], line["hops"]) == ("m-0", 2)
    assert "base_id" not in unreadable


def test_a_retry_and_a_rejection_have_their_reason() -> None:
    retried, rejected = log_lines(
        settled(Retry("held for too long", after=60.0)),
        settled(Reject("ambiguous", "perhaps", may_have_run=True)),
    )
    assert (retried["outcome"], retried["reason"], retried["retry_after"], retried["level"]) == (
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
    (line,) = log_lines(
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


def test_a_message_of_many_events_has_several_lines_and_each_event_once() -> None:
    many = [(event(f"e-{number}"), Delivered()) for number in range(250)]
    lines = log_lines(settled(results=many))
    assert [(line["part"], line["parts"]) for line in lines] == [(1, 3), (2, 3), (3, 3)]
    assert [entry["id"] for line in lines for entry in line["events"]] == [e.id for e, _ in many]


def test_the_payload_is_logged_only_if_configured() -> None:
    facts = (
        settled(results=[(event(data=b'{"card":"4111"}'), Delivered())]),
        settled(POISON, [], message(body=b"card 4111")),
    )
    assert "4111" not in json.dumps(log_lines(*facts))
    with_data, with_body = log_lines(*facts, payload=True)
    assert with_data["data"] == '{"card":"4111"}'
    assert with_body["body"] == "card 4111"


def test_a_line_contains_no_more_of_a_payload_than_fits() -> None:
    data = b'{"text":"%b"}' % ("é".encode() * 1_000_000)
    facts = (
        settled(results=[(event(data=data), Delivered())]),
        settled(POISON, [], message(body=data)),
    )
    with_data, with_body = log_lines(*facts, payload=True)
    for text in (with_data["data"], with_body["body"]):
        assert len(text) == MAX_DATA
        assert text.startswith('{"text":"éé')
        assert text.endswith("é…")


def test_the_events_of_a_line_share_its_space_and_the_first_are_whole() -> None:
    data = json.dumps({"text": "x" * (MAX_DATA // 10)}).encode()
    results = [(event(f"e-{number}", data=data), Delivered()) for number in range(MAX_EVENTS)]
    (line,) = log_lines(settled(results=results), payload=True)
    texts = [entry["data"] for entry in line["events"]]
    assert texts[:9] == [data.decode()] * 9
    assert texts[10:] == ["…"] * 90
    assert sum(map(len, texts)) <= MAX_DATA + 100


def test_a_long_reason_is_cut_with_a_mark() -> None:
    (line,) = log_lines(settled(Reject("code", "x" * 900), []))
    assert line["reason"] == "x" * (MAX_REASON - 1) + "…"


def test_a_url_in_an_id_is_logged_without_its_query() -> None:
    (line,) = log_lines(settled(results=[(event("https://b.host/k?sig=1f"), Delivered())]))
    assert line["event_id"] == "https://b.host/k?***"


def test_an_incomplete_dead_letter_is_marked() -> None:
    dead_letter = DeadLettered(message=message(), code="not_json", reason="no", kept="encoded")
    (line,) = log_lines(dead_letter, settled(POISON, []))
    assert line["incomplete_copy"]


def test_an_id_that_utf_8_cannot_hold_loses_no_line() -> None:
    lines = log_lines(settled(), settled(results=[(event("e-\udce4"), Delivered())]))
    assert [line["event_id"] for line in lines] == ["e-1", "e-\udce4"]
