"""The pure parts: expiry, filters, edits, canaries, growth, records."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.commands.dlq.progress import Progress
from relay.dlq.canary import awaited, choose
from relay.dlq.expiry import Expiry, expiry
from relay.dlq.fate import Known
from relay.dlq.filters import Filter
from relay.dlq.growth import Growth
from relay.dlq.letter import Letter, read_letter
from relay.dlq.moments import moment, span
from relay.dlq.plan import Part, Plan
from relay.dlq.record import Damaged, of_message, read_record, to_message, write_record
from relay.dlq.shape import shape
from relay.dlq.waves import waves
from relay.envelope import Rules
from relay.local.clock import ManualClock
from relay.message import Attribute, Event, Message
from relay.origin import ATTRIBUTE, Origin

DAY = 86_400.0
ARN = "arn:aws:sqs:us-east-1:0:main"


def message(body: str = '{"name":"shop/order"}', **more: Any) -> Message:
    return Message(body=body.encode(), message_id="m-1", queue="dead", **more)


def letter(body: str = '{"name":"shop/order"}', past: Origin | None = None, **more: Any) -> Letter:
    if past is not None:
        more["attributes"] = {ATTRIBUTE: Attribute("String", past.pack())}
    return read_letter(message(body, **more), Rules(), "main")


@pytest.mark.parametrize(
    ("source", "fifo", "expected"),
    [
        (ARN, False, Expiry(100 * DAY + 4 * DAY)),
        (ARN, True, Expiry(100 * DAY + 4 * DAY, exact=False)),
        (None, False, Expiry(100 * DAY + 4 * DAY)),
    ],
)
def test_a_letter_expires_counted_from_its_enqueue_time(
    source: str | None, fifo: bool, expected: Expiry
) -> None:
    """What waited a day in the source queue has three of four days left; the relay's copy four."""
    found = expiry(message(sent_at=100 * DAY, dead_letter_source=source), 4 * DAY, fifo=fifo)
    assert found == expected


def test_the_first_sending_says_nothing_about_when_our_copy_expires() -> None:
    past = Origin(id="a", sent_at=1 * DAY, hops=1)
    copy = letter(past=past, sent_at=10 * DAY)
    assert copy.first_sent_at == 1 * DAY
    assert expiry(copy.message, 4 * DAY, fifo=False) == Expiry(14 * DAY)


NOTED = letter(
    '{"name":"shop/order","id":"own","data":{"total":7,"tags":["a"]}}',
    Origin(id="base", hops=2, source="main", code="fails_alone", sent_at=50.0),
)


@pytest.mark.parametrize(
    "meant",
    [
        {},
        {"names": ("shop/*",)},
        {"names": ("other", "shop/order")},
        {"codes": ("fails_*",)},
        {"ids": ("own",)},
        {"ids": ("base",)},
        {"ids": ("m-1",)},
        {"sources": ("ma?n",)},
        {"since": 50.0, "until": 50.1},
        {"attributes": (("Relay-Origin", "*fails_alone*"),)},
        {"where": "data.total > `6` && contains(data.tags, 'a')"},
        {"where": "data.total"},
        {"names": ("shop/*",), "codes": ("fails_alone",)},
    ],
)
def test_a_letter_passes_a_filter(meant: dict[str, Any]) -> None:
    assert Filter(**meant).matches(NOTED)


@pytest.mark.parametrize(
    "meant",
    [
        {"names": ("order",)},
        {"codes": ("moved_by_sqs",)},
        {"ids": ("m-2",)},
        {"sources": ("second",)},
        {"since": 50.1},
        {"until": 50.0},
        {"attributes": (("absent", "*"),)},
        {"where": "data.total > `7`"},
        {"where": "data.absent"},
        {"where": "abs(data.tags)"},
        {"names": ("shop/*",), "codes": ("other",)},
    ],
)
def test_a_letter_does_not_pass_a_filter(meant: dict[str, Any]) -> None:
    assert not Filter(**meant).matches(NOTED)


def test_a_filter_with_a_wrong_path_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="no JMESPath"):
        Filter(where="data..x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 910.0),
        ("1.5m", 910.0),
        ("1970-01-01T00:10", 600.0),
        ("1970-01-01T01:10+01:00", 600.0),
    ],
)
def test_a_moment_is_a_time_or_an_age(text: str, expected: float) -> None:
    assert moment(text, 1_000.0) == expected


def test_a_span_is_told_in_its_largest_unit() -> None:
    assert [span(s) for s in (12, 90, 7_200, 3.5 * DAY)] == ["12 s", "1.5 min", "2 h", "3.5 d"]


def test_a_canary_has_one_of_each_group_at_least() -> None:
    parts = {
        ("a", "x"): Part(goes=9, first=["a1", "a2", "a3"]),
        ("b", "x"): Part(goes=2, first=["b1", "b2"]),
        ("c", "y"): Part(goes=0),
        ("d", "y"): Part(goes=1, first=["d1"]),
    }
    assert choose(Plan(parts=parts), 1) == {"a1", "b1", "d1"}
    assert choose(Plan(parts=parts), 5) == {"a1", "b1", "d1", "a2", "b2"}
    assert choose(Plan(), 5) == frozenset()


class Scripted:
    """A ledger that tells one thing after the other."""

    def __init__(self, *answers: Known | None) -> None:
        self._answers = list(answers)

    async def recall(self, events: Sequence[Event]) -> Sequence[Known | None]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [answer] * len(events)


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ([Known(), Known(sending_at=9.0), Known(delivered_at=11.0)], None),
        ([Known(dead_lettered_at=5.0), Known(delivered_at=11.0)], None),
        ([Known(), Known(dead_lettered_at=12.0)], "died again"),
        ([Known(sending_at=9.0)], "no outcome"),
        ([None], "no outcome"),
    ],
)
async def test_a_canary_in_the_queue_is_decided_by_the_ledger(
    answers: list[Known | None], problem: str | None
) -> None:
    clock = ManualClock(10.0)

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    told = await awaited(
        Scripted(*answers),
        [Event(id="e", name="n")],
        since=10.0,
        deadline=30.0,
        clock=clock.time,
        sleep=sleep,
    )
    assert (told is None) is (problem is None)
    assert problem is None or problem in (told or "")


def test_counters_that_lag_stop_no_run() -> None:
    clock = ManualClock(0.0)
    guard = Growth(1_000, clock=clock.time)
    for second in range(60):
        clock.advance(1.0)
        assert guard.problem(1_000, second * 15, second * 15, 0) is None


def test_growth_behind_the_counters_lag_stops_a_run() -> None:
    clock = ManualClock(0.0)
    guard = Growth(1_000, clock=clock.time)
    told = None
    for second in range(200):
        clock.advance(1.0)
        told = told or guard.problem(1_000, second * 5, second * 5, 0)
    assert "has grown by" in (told or "")


def test_a_few_newcomers_stop_no_run_and_many_do() -> None:
    assert Growth(10).problem(0, 0, 0, 10) is None
    assert Growth(10).problem(0, 0, 0, 11) is not None
    assert Growth(10).problem(0, 1_000, 1_000, 100) is None


@given(st.lists(st.sampled_from(["a", "b", None]), max_size=12))
def test_waves_keep_each_group_in_order_and_forget_nobody(groups: list[str | None]) -> None:
    found = list(waves(groups))
    assert sorted(i for wave in found for i in wave) == list(range(len(groups)))
    for wave in found:
        assert len({groups[i] for i in wave}) == len(wave)
    for group in set(groups):
        places = [i for wave in found for i in wave if groups[i] == group]
        assert places == sorted(places)


values = st.one_of(st.text(min_size=1), st.binary(min_size=1))
attributes = st.dictionaries(
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1),
    values.map(lambda v: Attribute("Binary.x" if isinstance(v, bytes) else "String", v)),
    max_size=10,
)


@given(st.binary(), attributes, st.floats(0, 1e10), st.none() | st.text())
def test_a_record_holds_a_message_whole(
    body: bytes, given_attributes: dict[str, Attribute], at: float, group: str | None
) -> None:
    before = Message(
        body=body,
        message_id="m",
        queue="q",
        attributes=given_attributes,
        sent_at=at,
        group_id=group,
        receive_count=3,
    )
    line = write_record(of_message(before))
    assert b"\n" not in line
    assert to_message(read_record(line)) == before


def test_a_record_that_was_altered_anywhere_is_found_out() -> None:
    line = write_record(of_message(message()))
    for i in range(len(line)):
        altered = line[:i] + bytes([line[i] ^ 1]) + line[i + 1 :]
        with pytest.raises(Damaged):
            read_record(altered)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"b":[1,2],"a":{"x":null}}', "{a:{x:null},b:[int]}"),
        (b'[{"a":1},{"a":"s"}]', "[{a:int}|{a:str}]"),
        (b" ", "empty"),
        (b"{", "text"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_bodies_of_one_structure_have_one_shape(body: bytes, expected: str) -> None:
    assert shape(body) == expected


def test_a_letter_that_points_into_s3_is_sealed_until_its_payload_is_read() -> None:
    pointer = json.dumps(
        ["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "b", "s3Key": "k"}]
    )
    sealed = read_letter(message(pointer), Rules())
    assert (sealed.sealed, sealed.events) == (True, ())
    opened = read_letter(message(pointer), Rules(), None, b'{"name":"a","id":"mine"}')
    assert [event.id for event in opened.events] == ["mine"]
    assert opened.message.body.decode() == pointer
    assert not replace(opened).sealed


def test_progress_is_json_lines_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock(0.0)
    with Progress("brought", total=100, clock=clock.time) as progress:
        for done in (10, 20, 30):
            clock.advance(0.6)
            progress.at(done, deleted=done - 1)
    [line] = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["progress"], told["done"], told["of"], told["deleted"]) == ("brought", 20, 100, 19)
    assert (told["rate"], told["seconds_left"]) == (16.7, 4.8)


def test_a_letter_that_died_unread_goes_by_the_id_of_what_is_in_it() -> None:
    past = Origin(id="first", source="main", hops=1, code="wrong_envelope", undecoded=True)
    body = '{"detail-type":"order/placed","detail":{},"id":"eb-1","source":"shop"}'
    assert letter(body, past).base_id == "eb-1"
    assert letter(past=past).base_id == "first"


def test_a_letter_that_nobody_can_read_is_asked_for_its_id_when_it_comes_back() -> None:
    unread, read = letter('{"data":{}}').past, letter().past
    assert unread is not None
    assert unread.undecoded
    assert read is not None
    assert not read.undecoded
