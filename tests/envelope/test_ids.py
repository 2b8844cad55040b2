"""Ids stay the same after redelivery and dead-lettering, in push and in pull mode."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from relay.envelope import Decoded, Rules, decode
from relay.envelope.ids import bounded_id
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin
from relay.model.outcome import Reject

AUTO = Rules()
PLAIN = b'{"name":"a","data":{"order":{"id":"o-1","number":17}}}'
PULLED = Callable[..., Message]
SAMPLE = Callable[[str], bytes]


def decoded(message: Message, rules: Rules = AUTO) -> Decoded:
    found = decode(message, rules)
    assert isinstance(found, Decoded), found
    return found


def ids(message: Message, rules: Rules = AUTO) -> list[str]:
    return [event.id for event in decoded(message, rules).events]


def after(message: Message, origin: Origin) -> Message:
    """The same message after a redrive, with another MessageId and other attributes."""
    return replace(
        message,
        message_id="another",
        attributes={**message.attributes, ATTRIBUTE: Attribute("String", origin.pack())},
    )


def text(**values: str) -> dict[str, Attribute]:
    return {name.replace("_", "-"): Attribute("String", value) for name, value in values.items()}


@pytest.mark.parametrize(
    "name",
    [
        "inngest",
        "inngest-array",
        "sns-inngest",
        "sns-inngest-array",
        "eventbridge",
        "s3",
        "s3-two-records",
        "sns-s3",
        "cloudevents",
    ],
)
@pytest.mark.parametrize(
    "rules", [AUTO, Rules(id_attribute="Order-Id"), Rules(id_path="@ | to_string(@)")]
)
def test_ids_are_the_same_before_and_after_a_redrive(
    name: str, rules: Rules, sample: SAMPLE, pulled: PULLED
) -> None:
    message = pulled(sample(name), attributes=text(Order_Id="o-1"))
    first = decoded(message, rules)
    again = after(message, Origin(id=first.base_id, hops=1))
    assert ids(again, rules) == [event.id for event in first.events]
    assert decoded(again, rules).base_id == first.base_id


def test_a_redrive_sends_only_pending_events_with_their_first_ids(
    sample: SAMPLE, pulled: PULLED
) -> None:
    message = pulled(sample("inngest-array"))
    first = decoded(message)
    again = decoded(after(message, Origin(id=first.base_id, pending=(2, 0))))
    assert [event.index for event in again.events] == [0, 2]
    assert [event.id for event in again.events] == [first.events[0].id, first.events[2].id]
    assert again.total == 3


def test_an_invalid_event_that_is_not_pending_is_not_rejected_again(pulled: PULLED) -> None:
    again = decoded(after(pulled(b'[{"name":"a"},17]'), Origin(id="b", pending=(0,))))
    assert again.rejects == ()
    assert [event.id for event in again.events] == ["b.0"]


def test_a_redrive_with_nothing_pending_may_be_acknowledged(pulled: PULLED) -> None:
    again = decoded(after(pulled(b'[{"name":"a"}]'), Origin(id="b", pending=())))
    assert (again.events, again.acknowledge_reason) == ((), "nothing-pending")


def test_a_new_run_changes_even_the_events_own_ids(sample: SAMPLE, pulled: PULLED) -> None:
    again = after(pulled(sample("inngest-array")), Origin(id="b", generation=2))
    assert ids(again) == ["b.0.r2", "parcel-2-packed.r2", "b.2.r2"]
    assert decoded(again).base_id == "b"


def test_a_redrive_keeps_the_time_when_the_message_was_first_sent(pulled: PULLED) -> None:
    again = after(pulled(PLAIN, sent_at=1_760_000_000.0), Origin(id="b", sent_at=1_750_000_000.0))
    assert decoded(again).events[0].ts == 1_750_000_000_000


def test_an_encoded_body_is_decoded(pulled: PULLED) -> None:
    origin = Origin(id="b", encoding="base64")
    assert ids(after(pulled(base64.b64encode(PLAIN)), origin)) == ["b"]


def test_an_events_own_id_wins_and_without_one_the_message_id_is_used(pulled: PULLED) -> None:
    assert ids(pulled(b'{"name":"a","id":"mine"}'), Rules(id_path="name")) == ["mine"]
    assert ids(pulled(b'{"name":"a","id":""}', message_id="m-1")) == ["m-1"]
    assert ids(pulled(b'[{"name":"a"}]', message_id="m-1")) == ["m-1.0"]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (Rules(id_attribute="order-id"), "orders:att-1"),
        (Rules(id_attribute="ORDER-ID", id_path="data.order.id"), "orders:att-1"),
        (Rules(id_attribute="absent", id_path="data.order.id"), "orders:o-1"),
        (Rules(id_attribute="number"), "orders:42"),
        (Rules(id_path="data.order.number"), "orders:17"),
        (Rules(id_path="data.order.id", fifo_dedup_id=True), "orders:o-1"),
        (Rules(fifo_dedup_id=True), "orders:dedup-1"),
        (Rules(), "m-1"),
    ],
)
def test_a_configured_id_starts_with_the_queue(rules: Rules, expected: str, pulled: PULLED) -> None:
    attributes = {**text(Order_Id=" att-1 "), "Number": Attribute("Number", "42")}
    message = pulled(PLAIN, message_id="m-1", attributes=attributes, dedup_id="dedup-1")
    found = decoded(message, rules)
    assert found.base_id == expected == found.events[0].id
    assert found.notices == ()


@pytest.mark.parametrize(
    "rules",
    [
        Rules(id_attribute="blob"),
        Rules(id_attribute="blank"),
        Rules(id_path="data.order"),
        Rules(id_path="data.absent"),
        Rules(id_path="abs(name)"),
        Rules(id_path="sort(@)"),
        Rules(id_path="`true`"),
        Rules(id_path="`1.5`"),
    ],
)
def test_a_missing_configured_id_is_noticed(rules: Rules, pulled: PULLED) -> None:
    attributes = {"blob": Attribute("Binary", b"x"), **text(blank="  ")}
    found = decoded(pulled(PLAIN, message_id="m-1", attributes=attributes), rules)
    assert (found.base_id, found.notices) == ("m-1", ("id-not-found",))


def test_attributes_inside_an_sns_notification_are_used_too(sample: SAMPLE, pulled: PULLED) -> None:
    rules = Rules(id_attribute="request-key")
    assert ids(pulled(sample("sns-inngest")), rules) == ["orders:req-42"]
    inner = json.loads(sample("sns-inngest"))["Message"].encode()
    raw = pulled(inner, attributes=text(Request_Key="req-42"))
    assert ids(raw, rules) == ["orders:req-42"]


def test_a_configured_id_replaces_the_envelopes_ids(sample: SAMPLE, pulled: PULLED) -> None:
    rules = Rules(id_path="Records[0].s3.object.sequencer")
    assert ids(pulled(sample("s3-two-records")), rules) == [
        "orders:00686CF510A1B2C3D5.0",
        "orders:00686CF510A1B2C3D5.1",
    ]


def test_a_path_is_applied_inside_an_sns_notification_and_to_an_array(
    sample: SAMPLE, pulled: PULLED
) -> None:
    rules = Rules(id_path="[1].id")
    for name in ("inngest-array", "sns-inngest-array"):
        assert decoded(pulled(sample(name)), rules).base_id == "orders:parcel-2-packed"


def test_ids_without_a_dedup_id_are_the_same_in_both_modes(
    pulled: PULLED, pushed: Callable[[Message], Message]
) -> None:
    message = pulled(
        PLAIN,
        attributes={"B": Attribute("Binary", b"1"), **text(Order_Id=" att ")},
        dedup_id="x",
        group_id="y",
    )
    for rules in (AUTO, Rules(id_attribute="Order-Id"), Rules(id_attribute="B")):
        assert ids(pushed(message), rules) == ids(message, rules)


def test_a_very_long_id_is_replaced_by_its_hash_once(pulled: PULLED) -> None:
    long = "x" * 257
    [event_id] = ids(pulled(json.dumps({"name": "a", "id": long}).encode()))
    assert event_id == bounded_id(long) == bounded_id(bounded_id(long))
    assert event_id.startswith("sha256:")
    assert bounded_id("x" * 256) == "x" * 256
    assert bounded_id("\ud800").startswith("sha256:")


def test_the_environment_is_an_attribute_of_the_message_and_kept_by_a_redrive(
    pulled: PULLED, pushed: Callable[[Message], Message]
) -> None:
    message = pulled(PLAIN, attributes=text(x_inngest_env="branch 7"))
    again = after(message, Origin(id="m-1"))
    for one in (message, pushed(message), again):
        assert [event.env for event in decoded(one).events] == ["branch 7"]
    assert decoded(pulled(PLAIN)).events[0].env is None
    assert decoded(pulled(PLAIN, attributes=text(x_inngest_env=" "))).events[0].env is None


@pytest.mark.parametrize("env", ["a\nb", "caf\u00e9", "x" * 257, "\x7f"])
def test_an_environment_that_cannot_be_one_is_rejected(env: str, pulled: PULLED) -> None:
    found = decode(pulled(PLAIN, attributes=text(x_inngest_env=env)), AUTO)
    assert isinstance(found, Reject)
    assert found.code == "bad_environment"
