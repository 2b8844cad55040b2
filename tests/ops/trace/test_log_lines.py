"""What log lines tell about one event."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from relay.model.event import Event
from relay.model.outcome import Delivered
from relay.ops.trace.logs import LogScanner
from relay.ops.trace.timeline import KnownIds
from tests.ops.trace.conftest import MESSAGE, NOW, REJECT, delivered, line, remark, retried

Settings = dict[str, str]
ULID = "01JQJ00000000000000000000Z"


def read(asked: str, *lines: str) -> tuple[list[str], KnownIds]:
    known = KnownIds(asked)
    reading = LogScanner(known)
    reading.read(lines)
    return [moment.what for moment in reading.moments], known


@pytest.mark.parametrize("asked", ["order-1", MESSAGE.message_id])
def test_log_lines_tell_when_it_was_sent_received_and_delivered(asked: str) -> None:
    told, known = read(asked, retried(), delivered(ULID))
    assert told == [
        "sent to events",
        "received from events",
        "not delivered, it comes again: the destination is away",
        "received from events, the 2nd time",
        f"delivered as {ULID}",
    ]
    assert known.events == {("shop/paid", "order-1")}
    assert known.messages == {MESSAGE.message_id}
    assert known.references == {ULID}


def test_of_a_message_with_many_events_only_the_one_asked_for_is_told() -> None:
    many = [Event(f"m.{i}", "n", index=i, message_id="m") for i in range(4)]
    results = [(event, Delivered(f"r{event.index}")) for event in many]
    text = line(replace(MESSAGE, message_id="m"), Delivered(), *results, at=NOW)
    assert read("m.2", text)[1].events == {("n", "m.2")}
    assert len(read("m", text)[1].events) == 4


def test_a_message_that_was_rejected_whole_is_told_by_its_message_id() -> None:
    told, known = read(MESSAGE.message_id, line(MESSAGE, REJECT, at=NOW))
    assert told[-1] == "dead-lettered as refused_by_destination: no such thing"
    assert known.events == set()


@pytest.mark.parametrize("prefix", ["", "Nov 22 10:00:00 ip-10-0-0-1 web[2211]: "])
def test_other_lines_about_the_message_are_told_whatever_stands_before_them(prefix: str) -> None:
    lines = [delivered(ULID), prefix + remark(MESSAGE, "its lease was lost")]
    assert "its lease was lost" in read("order-1", *lines)[0]


@pytest.mark.parametrize("ident", ["orders:42", "42", "42.7", "orders:42.7.r2"])
def test_the_producers_id_is_found_in_the_ids_that_are_made_from_it(ident: str) -> None:
    assert KnownIds("42").means(ident)


@pytest.mark.parametrize("ident", ["142", "42x", "4242", "42.7.8"])
def test_an_id_that_only_looks_alike_is_another(ident: str) -> None:
    assert not KnownIds("42").means(ident)
