"""`relay send` to a real SQS on loopback."""

import json
from pathlib import Path

import pytest

from relay.local.sqs.faults import Fault
from tests.cli.conftest import Place, Relay

EVENT = '{"name":"shop/order.paid","data":{"total":1.10,"id":9007199254740993}}'


def lines(count: int) -> str:
    return "".join(f'{{"name":"n/{i}","data":{{}}}}\n' for i in range(count))


async def test_json_lines_become_a_message_each_in_batches_of_ten(
    process: Relay, place: Place
) -> None:
    ended = await process("send", "-", "--queue", "plain", stdin=lines(205))
    assert ended.code == 0
    assert ended.err == ""
    assert ended.out.startswith("205 sent to plain in ")
    assert sorted(place.bodies()) == sorted(lines(205).splitlines())
    assert place.sqs.requests["SendMessageBatch"] == 21


async def test_a_document_is_sent_byte_for_byte_with_its_attributes(
    relay: Relay, place: Place, tmp_path: Path
) -> None:
    file = tmp_path / "event.json"
    file.write_text(EVENT)
    queue = f"{place.sqs.url}/000000000000/plain"
    ended = await relay(
        *("send", str(file), "--attribute", "source=shop", "--attribute", "q=a=b"),
        RELAY_QUEUE_URL=queue,
    )
    (message,) = place.stored()
    assert ended.code == 0
    assert message.body == EVENT
    assert {name: value.string_value for name, value in message.attributes.items()} == {
        "source": "shop",
        "q": "a=b",
    }


async def test_batches_keep_within_what_sqs_takes(relay: Relay, place: Place) -> None:
    big = [json.dumps({"name": "n", "data": {"x": "x" * 400_000}}) for _ in range(5)]
    ended = await relay("send", "-", "--queue", "plain", stdin="\n".join(big))
    assert ended.code == 0
    assert place.bodies() == big
    assert place.sqs.requests["SendMessageBatch"] == 3


async def test_what_the_relay_would_reject_is_held_back_and_the_rest_sent(
    relay: Relay, place: Place
) -> None:
    ended = await relay(
        "send", "-", "--queue", "plain", stdin=f'{EVENT}\n{{"name":""}}\n\n{{broken\n{EVENT}\n'
    )
    assert ended.code == 1
    assert ended.out.startswith("2 sent to plain, 2 refused here")
    first, second = ended.err.splitlines()
    assert first.startswith("relay: line 2 was not sent: the relay would reject it as empty_name")
    assert second.startswith("relay: line 4 was not sent: the relay would reject it as not_json")


async def test_nothing_is_held_back_when_told_so(relay: Relay, place: Place) -> None:
    ended = await relay(
        "send", "-", "--queue", "plain", "--no-check", "--lines", stdin="[1,\nplain\n"
    )
    assert ended.code == 0
    assert place.bodies() == ["[1,", "plain"]


async def test_a_refused_entry_is_sent_again_and_only_that_one(relay: Relay, place: Place) -> None:
    place.sqs.faults.add(
        Fault(action="SendMessageBatch", entries={3: "InternalError"}),
        Fault(action="SendMessageBatch", error="RequestThrottled"),
    )
    ended = await relay("send", "-", "--queue", "plain", stdin=lines(10))
    assert ended.code == 0
    assert ended.err == ""
    assert sorted(place.bodies()) == sorted(lines(10).splitlines())
    assert place.sqs.requests["SendMessageBatch"] == 3


async def test_a_lost_answer_is_repeated_and_told(relay: Relay, place: Place) -> None:
    place.sqs.faults.add(Fault(action="SendMessageBatch", drop=True))
    ended = await relay("send", "-", "--queue", "plain", stdin=lines(3))
    assert ended.code == 0
    assert "3 messages may be in the queue twice" in ended.err
    assert len(place.bodies()) == 6


async def test_a_message_that_sqs_never_takes_fails_alone(relay: Relay, place: Place) -> None:
    ended = await relay(
        *("send", "-", "--queue", "plain", "--no-check", "--lines"), stdin="good\nbad\x01\ngood\n"
    )
    assert ended.code == 1
    assert ended.out.startswith("2 sent to plain, 1 failed")
    assert "line 2 was not sent" in ended.err
    assert place.bodies() == ["good", "good"]


async def test_a_fifo_queue_gets_its_order_its_group_and_its_dedup_ids(
    relay: Relay, place: Place
) -> None:
    place.sqs.faults.add(Fault(action="SendMessageBatch", skip=1, drop=True))
    ended = await relay(
        *("send", "-", "--queue", "ordered.fifo", "--group-id", "g", "--dedup-id-from", "name"),
        stdin=lines(25),
    )
    stored = place.stored("ordered.fifo")
    assert ended.code == 0
    assert ended.err == ""
    assert [message.body for message in stored] == lines(25).splitlines()
    assert {message.group_id for message in stored} == {"g"}
    assert [message.dedup_id for message in stored] == [f"n/{i}" for i in range(25)]


async def test_a_fifo_queue_gets_nothing_after_a_message_that_failed(
    relay: Relay, place: Place
) -> None:
    place.sqs.faults.add(Fault(action="SendMessageBatch", entries={9: "Broken"}, sender_fault=True))
    ended = await relay(
        *("send", "-", "--queue", "ordered.fifo", "--group-id", "g"), stdin=lines(25)
    )
    assert ended.code == 1
    assert place.bodies("ordered.fifo") == lines(9).splitlines()
    assert "from line 11 on is not sent" in ended.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-",), "no queue is named"),
        (("-", "--queue", "plain", "--lines", "--whole"), "exclude each other"),
        (("-", "--queue", "ordered.fifo"), "--group-id"),
        (("-", "--queue", "plain", "--dedup-id-from", "id"), "no FIFO queue"),
        (("-", "--queue", "plain", "--attribute", "x"), "NAME=VALUE"),
        (("absent.json", "--queue", "plain"), "absent.json cannot be read"),
    ],
)
async def test_wrong_usage_is_a_sentence_and_exit_code_2(
    relay: Relay, place: Place, arguments: tuple[str, ...], told: str
) -> None:
    ended = await relay("send", *arguments, stdin=EVENT)
    assert ended.code == 2
    assert told in ended.err
    assert ended.err.count("\n") == 1
    assert not place.stored()


async def test_an_input_that_is_neither_json_nor_lines_of_it_is_wrong_usage(
    relay: Relay, place: Place
) -> None:
    ended = await relay("send", "-", "--queue", "plain", stdin='{"a":\nnonsense\n')
    assert ended.code == 2
    assert "neither JSON nor JSON lines" in ended.err


async def test_bad_settings_are_all_told_before_anything_is_sent(
    relay: Relay, place: Place
) -> None:
    ended = await relay(
        "send", "-", "--queue", "plain", stdin=EVENT, RELAY_HOLD="x", RELAY_METRICS="y"
    )
    assert ended.code == 2
    assert [line.split()[1] for line in ended.err.splitlines()] == ["RELAY_HOLD", "RELAY_METRICS"]
    assert not place.stored()


@pytest.mark.parametrize(
    ("queue", "variables", "told"),
    [
        ("absent", {}, "does not exist"),
        ("plain", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "127.0.0.1:1"),
        ("plain", {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "credentials"),
        ("plain", {"AWS_REGION": None}, "AWS_REGION"),
        ("plain", {"AWS_PROFILE": "absent"}, "AWS_PROFILE"),
    ],
)
async def test_an_expected_failure_is_one_sentence_and_exit_code_1(
    relay: Relay, place: Place, queue: str, variables: dict[str, str | None], told: str
) -> None:
    ended = await relay("send", "-", "--queue", queue, stdin=EVENT, **variables)
    assert ended.code == 1
    assert told in ended.err
    assert "Traceback" not in ended.err
    assert ended.err.count("\n") == 1
