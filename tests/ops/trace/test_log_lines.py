"""What log lines say about one event."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from relay.model.event import Event
from relay.model.message import Attribute
from relay.model.origin import ATTRIBUTE, Origin
from relay.model.outcome import Delivered
from relay.ops.trace.logs import LogScanner
from relay.ops.trace.timeline import KnownIds
from tests.ops.trace.conftest import (
    EVENT,
    MESSAGE,
    NOW,
    REJECT,
    delivered,
    log_line,
    outcome_line,
    retried,
)

Settings = dict[str, str]
ULID = "01JQJ00000000000000000000Z"


def read(ident: str, *lines: str) -> tuple[list[str], KnownIds]:
    known = KnownIds(ident)
    scanner = LogScanner(known)
    scanner.read(lines)
    return [entry.what for entry in scanner.entries], known


@pytest.mark.parametrize("ident", ["order-1", MESSAGE.message_id])
def test_log_lines_say_when_the_event_was_sent_received_and_delivered(ident: str) -> None:
    found, known = read(ident, retried(), delivered(ULID))
    assert found == [
        "sent to events",
        "received from events",
        "not delivered, will be retried: the destination is down",
        "received from events for the 2nd time",
        f"delivered as {ULID}",
    ]
    assert known.events == {("shop/paid", "order-1")}
    assert known.messages == {MESSAGE.message_id}
    assert known.references == {ULID}


def test_of_a_message_with_many_events_only_the_requested_one_is_included() -> None:
    many = [Event(f"m.{i}", "n", index=i, message_id="m") for i in range(4)]
    results = [(event, Delivered(f"r{event.index}")) for event in many]
    text = outcome_line(replace(MESSAGE, message_id="m"), Delivered(), *results, at=NOW)
    assert read("m.2", text)[1].events == {("n", "m.2")}
    assert len(read("m", text)[1].events) == 4


def test_a_message_rejected_as_a_whole_is_found_by_its_message_id() -> None:
    found, known = read(MESSAGE.message_id, outcome_line(MESSAGE, REJECT, at=NOW))
    assert found[-1] == "dead-lettered as refused_by_destination: no such thing"
    assert known.events == set()


@pytest.mark.parametrize("prefix", ["", "Nov 22 10:00:00 ip-10-0-0-1 web[2211]: "])
def test_other_lines_about_the_message_are_included_with_any_prefix(prefix: str) -> None:
    lines = [delivered(ULID), prefix + log_line(MESSAGE, "its lease was lost")]
    assert "its lease was lost" in read("order-1", *lines)[0]


@pytest.mark.parametrize("ident", ["orders:42", "42", "42.7", "orders:42.7.r2"])
def test_the_producers_id_matches_the_ids_derived_from_it(ident: str) -> None:
    assert KnownIds("42").matches(ident)


@pytest.mark.parametrize("ident", ["142", "42x", "4242", "42.7.8"])
def test_a_similar_id_does_not_match(ident: str) -> None:
    assert not KnownIds("42").matches(ident)


def test_after_a_redrive_the_first_message_is_found_by_the_id_of_the_event() -> None:
    """The line of a message without a valid event has no event id, only the MessageId."""
    attribute = Attribute("String", Origin(id=MESSAGE.message_id, undecoded=True, hops=1).pack())
    again = replace(MESSAGE, message_id="m-2", receive_count=1, attributes={ATTRIBUTE: attribute})
    before = outcome_line(MESSAGE, REJECT, at=NOW - 20.0)
    after = outcome_line(again, Delivered(ULID), (EVENT, Delivered(ULID)), at=NOW)
    known = read("order-1", after)[1]
    assert known.messages == {MESSAGE.message_id, "m-2"}
    scanner = LogScanner(known)
    scanner.read([before, after])
    assert [entry.what for entry in scanner.entries] == [
        "sent to events",
        "received from events for the 2nd time",
        "dead-lettered as refused_by_destination: no such thing",
        "redriven to events",
        "received from events",
        f"delivered as {ULID}",
    ]
