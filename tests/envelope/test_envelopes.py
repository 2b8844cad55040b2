"""Each kind of envelope is decoded into its events, the same in push and pull mode."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from relay.envelope import Decoded, Rules, decode
from relay.model.message import Attribute, Message, PeriodicTask
from relay.model.outcome import Reject

AUTO = Rules()
PULLED = Callable[..., Message]
SAMPLE = Callable[[str], bytes]
SENT = 1_751_971_000_250
"""Milliseconds: when the message was sent."""

EXPECTED = {
    "inngest": ("inngest", [("shop/cart.checked_out", "cart-7d1f-checked-out", 1_751_970_896_123)]),
    "inngest-array": (
        "inngest",
        [
            ("shop/parcel.packed", "d6790f8d-d575-4f01-bc51-40122704930b.0", SENT),
            ("shop/parcel.packed", "parcel-2-packed", SENT),
            ("shop/parcel.packed", "d6790f8d-d575-4f01-bc51-40122704930b.2", 1_751_970_900_000),
        ],
    ),
    "sns-inngest": (
        "inngest",
        [("shop/cart.opened", "9f4b2a1e-6a0f-5c0e-8f6e-70a2d1f3c9b1", 1_751_970_901_456)],
    ),
    "sns-inngest-array": (
        "inngest",
        [
            ("shop/parcel.packed", "9f4b2a1e-6a0f-5c0e-8f6e-70a2d1f3c9b2.0", 1_751_970_901_456),
            ("shop/parcel.packed", "parcel-2-packed", 1_751_970_901_456),
            ("shop/parcel.packed", "9f4b2a1e-6a0f-5c0e-8f6e-70a2d1f3c9b2.2", 1_751_970_900_000),
        ],
    ),
    "eventbridge": (
        "eventbridge",
        [("Cart Checked Out", "53c1a0e4-9d0c-4f6b-8f0a-2f0f5f1c7a11", 1_751_970_896_000)],
    ),
    "eventbridge-s3": (
        "eventbridge",
        [("Object Created", "2f4b7c9e-41a5-4f6e-9a43-7a0c1bb8d3aa", 1_751_970_896_000)],
    ),
    "sns-eventbridge": (
        "eventbridge",
        [("Cart Checked Out", "53c1a0e4-9d0c-4f6b-8f0a-2f0f5f1c7a11", 1_751_970_896_000)],
    ),
    "s3": (
        "s3",
        [
            (
                "s3/ObjectCreated.Put",
                "example-invoices/2025/07/invoice+8.pdf/00686CF510A1B2C3D4/ObjectCreated:Put",
                1_751_970_896_789,
            )
        ],
    ),
    "s3-two-records": (
        "s3",
        [
            (
                "s3/ObjectCreated.CompleteMultipartUpload",
                "example-invoices/2025/07/scan.tiff/00686CF510A1B2C3D5/ObjectCreated:CompleteMultipartUpload",
                1_751_970_896_789,
            ),
            (
                "s3/ObjectRemoved.DeleteMarkerCreated",
                "example-invoices/2025/07/old.pdf/00686CF510A1B2C3D6/ObjectRemoved:DeleteMarkerCreated",
                1_751_970_896_789,
            ),
        ],
    ),
    "sns-s3": (
        "s3",
        [
            (
                "s3/ObjectCreated.Put",
                "example-invoices/2025/07/invoice+8.pdf/00686CF510A1B2C3D4/ObjectCreated:Put",
                1_751_970_896_789,
            )
        ],
    ),
    "cloudevents": (
        "cloudevents",
        [
            (
                "com.example.shop.cart.checked_out",
                "https://shop.example.com/carts#A234-1234-1234",
                1_751_970_896_789,
            )
        ],
    ),
    "sns-cloudevents": (
        "cloudevents",
        [
            (
                "com.example.shop.cart.checked_out",
                "https://shop.example.com/carts#A234-1234-1234",
                1_751_970_896_789,
            )
        ],
    ),
}


def decoded(message: Message, rules: Rules = AUTO) -> Decoded:
    found = decode(message, rules)
    assert isinstance(found, Decoded), found
    return found


@pytest.mark.parametrize("name", EXPECTED)
def test_each_envelope_is_decoded_in_both_modes(
    name: str, sample: SAMPLE, pulled: PULLED, pushed: Callable[[Message], Message]
) -> None:
    message = pulled(sample(name), group_id="g", dedup_id="d")
    found = decoded(message)
    assert (found.envelope, [(e.name, e.id, e.ts) for e in found.events]) == EXPECTED[name]
    assert decoded(pushed(message)) == found
    assert found.total == len(found.events)
    assert [event.index for event in found.events] == list(range(found.total))


def test_every_sample_is_tested(sample: SAMPLE, request: pytest.FixtureRequest) -> None:
    names = {path.stem for path in (request.path.parent / "samples").iterdir()}
    assert names == EXPECTED.keys() | {"s3-test-event", "sns-subscription"}


def test_data_and_user_are_sent_byte_for_byte(sample: SAMPLE, pulled: PULLED) -> None:
    found = decoded(pulled(sample("inngest")))
    assert (
        found.events[0].data
        == (
            '{"cartId": "7d1f", "total": 1.10, "serial": 9007199254740993, '
            r'"note": "caf\u00e9 \/ na\u00efve 😀", "lines": [ {"sku":"B-9","n":2} ]}'
        ).encode()
    )
    assert found.events[0].user == b'{"external_id": "u-311"}'
    assert found.events[0].v == "2025-07-01.1"
    assert found.notices == ("big-integer",)


@pytest.mark.parametrize("name", ["eventbridge", "sns-eventbridge", "cloudevents"])
def test_the_payload_of_an_envelope_is_the_data(name: str, sample: SAMPLE, pulled: PULLED) -> None:
    assert decoded(pulled(sample(name))).events[0].data == b'{"cartId": "7d1f", "total": 1.10}'


def test_an_s3_record_is_the_data_of_its_event(sample: SAMPLE, pulled: PULLED) -> None:
    body = sample("s3-two-records")
    first, second = decoded(pulled(body)).events
    assert first.data is not None
    assert second.data is not None
    assert first.data in body
    assert json.loads(bytes(second.data)) == json.loads(body)["Records"][1]


def test_the_test_event_of_s3_is_acknowledged_without_an_event(
    sample: SAMPLE, pulled: PULLED
) -> None:
    found = decoded(pulled(sample("s3-test-event")))
    assert (found.acknowledge_reason, found.events, found.total) == ("s3:TestEvent", (), 0)


def test_an_s3_record_without_a_sequencer_has_the_id_of_its_message(pulled: PULLED) -> None:
    record = {
        "eventSource": "aws:s3",
        "eventName": "s3:ReducedRedundancyLostObject",
        "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}},
    }
    message = pulled(json.dumps({"Records": [record]}).encode(), message_id="m-1")
    event = decoded(message).events[0]
    assert (event.name, event.id) == ("s3/ReducedRedundancyLostObject", "m-1")


def test_an_invalid_s3_record_does_not_affect_the_other(pulled: PULLED, sample: SAMPLE) -> None:
    body = json.loads(sample("s3-two-records"))
    body["Records"][0]["eventSource"] = "aws:ses"
    found = decoded(pulled(json.dumps(body).encode()))
    assert [event.index for event in found.events] == [1]
    assert [(index, reject.code) for index, reject in found.rejects] == [(0, "bad_s3")]


def test_each_pair_of_source_and_id_gives_another_id(pulled: PULLED) -> None:
    def identity(source: str, own_id: str) -> str:
        event = {"specversion": "1.0", "type": "t", "source": source, "id": own_id}
        return decoded(pulled(json.dumps(event).encode())).events[0].id

    pairs = [("a", "b#c"), ("a#b", "c"), ("a%23b", "c"), ("a%2523b", "c")]
    assert len({identity(*pair) for pair in pairs}) == len(pairs)


def test_a_cloudevent_has_its_trace_and_a_notice_for_each_lost_extension(
    sample: SAMPLE, pulled: PULLED
) -> None:
    found = decoded(pulled(sample("cloudevents")))
    assert found.events[0].trace == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert found.notices == ("unknown-field:comexampleextension",)


def test_a_firing_of_a_periodic_task_has_one_id_however_often_it_arrives(pulled: PULLED) -> None:
    task = PeriodicTask("nightly-report", "2025-07-08T02:00:00Z")
    first, again = (
        decoded(pulled(b"", task=task, message_id=message_id)) for message_id in ("m-1", "m-2")
    )
    event = first.events[0]
    assert first.envelope == "task"
    assert event.name == "task/nightly-report"
    assert event.id == "orders:nightly-report@2025-07-08T02:00:00Z" == again.events[0].id
    assert event.data == b'{"task":"nightly-report","scheduled_at":"2025-07-08T02:00:00Z"}'
    assert event.ts == 1_751_940_000_000


def test_a_task_without_a_time_has_the_id_of_its_message(pulled: PULLED) -> None:
    found = decoded(pulled(b"", task=PeriodicTask("t", "")), Rules(task_prefix="cron."))
    assert (found.events[0].name, found.events[0].id) == ("cron.t", found.base_id)
    assert found.base_id == "d6790f8d-d575-4f01-bc51-40122704930b"


@pytest.mark.parametrize("pin", ["inngest", "sns", "eventbridge", "s3", "cloudevents", "task"])
def test_a_pinned_envelope_accepts_only_its_own_kind_and_tasks(
    pin: str, sample: SAMPLE, pulled: PULLED
) -> None:
    kinds = {"inngest", "inngest-array", "sns-inngest", "eventbridge", "s3", "cloudevents"}
    answers = {kind: decode(pulled(sample(kind)), Rules(envelope=pin)) for kind in kinds}
    taken = {kind for kind, answer in answers.items() if isinstance(answer, Decoded)}
    codes = {answer.code for answer in answers.values() if isinstance(answer, Reject)}
    assert taken == {kind for kind in kinds if kind.partition("-")[0] == pin}
    assert codes == {"wrong_envelope"}
    task = pulled(b"", task=PeriodicTask("t", "2025-07-08T02:00:00Z"))
    assert decoded(task, Rules(envelope=pin)).envelope == "task"


def test_with_inngest_pinned_members_of_other_envelopes_are_unknown_fields(
    pulled: PULLED,
) -> None:
    message = pulled(b'{"name":"a","specversion":"1.0","type":"t"}')
    found = decoded(message, Rules(envelope="inngest"))
    assert found.events[0].name == "a"
    assert found.notices == ("unknown-field:specversion", "unknown-field:type")


@pytest.mark.parametrize(
    ("value", "trace"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        (" 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00 ", True),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", False),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", False),
        ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", False),
        ("00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01", False),
        ("nonsense", False),
    ],
)
def test_an_event_has_the_valid_traceparent_of_its_message(
    value: str, *, trace: bool, pulled: PULLED
) -> None:
    message = pulled(b'{"name":"a"}', attributes={"Traceparent": Attribute("String", value)})
    assert decoded(message).events[0].trace == (value.strip() if trace else None)


def test_an_event_has_no_time_if_nothing_has_one(pulled: PULLED) -> None:
    assert decoded(pulled(b'{"name":"a","ts":0}', sent_at=None)).events[0].ts is None


@pytest.mark.parametrize("sent_at", [float("nan"), float("inf"), -1.0, 0.0, 1e300])
def test_an_impossible_sent_time_is_ignored(sent_at: float, pulled: PULLED) -> None:
    assert decoded(pulled(b'{"name":"a"}', sent_at=sent_at)).events[0].ts is None
