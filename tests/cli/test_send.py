"""`relay send` to an SQS server on loopback."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from relay.local.sqs.faults import Fault
from tests.cli.conftest import LocalSqs, Relay

EVENT = '{"name":"shop/order.paid","data":{"total":1.10,"id":9007199254740993}}'


def lines(count: int) -> str:
    return "".join(f'{{"name":"n/{i}","data":{{}}}}\n' for i in range(count))


async def test_json_lines_are_sent_as_one_message_each_in_batches_of_ten(
    process: Relay, local_sqs: LocalSqs
) -> None:
    result = await process("send", "-", "--queue", "plain", stdin=lines(205))
    assert result.code == 0
    assert result.err == ""
    assert result.out.startswith("205 sent to plain (account 000000000000, http://127.0.0.1:")
    assert sorted(local_sqs.bodies()) == sorted(lines(205).splitlines())
    assert local_sqs.sqs.requests["SendMessageBatch"] == 21


async def test_a_document_is_sent_byte_for_byte_with_its_attributes(
    relay: Relay, local_sqs: LocalSqs, tmp_path: Path
) -> None:
    file = tmp_path / "event.json"
    file.write_text(EVENT)
    queue = f"{local_sqs.sqs.url}/000000000000/plain"
    result = await relay(
        *("send", str(file), "--attribute", "source=shop", "--attribute", "q=a=b"),
        RELAY_QUEUE_URL=queue,
    )
    (message,) = local_sqs.stored()
    assert result.code == 0
    assert message.body == EVENT
    assert {name: value.string_value for name, value in message.attributes.items()} == {
        "source": "shop",
        "q": "a=b",
    }


async def test_batches_stay_within_the_limits_of_sqs(relay: Relay, local_sqs: LocalSqs) -> None:
    big = [json.dumps({"name": "n", "data": {"x": "x" * 400_000}}) for _ in range(5)]
    result = await relay("send", "-", "--queue", "plain", stdin="\n".join(big))
    assert result.code == 0
    assert local_sqs.bodies() == big
    assert local_sqs.sqs.requests["SendMessageBatch"] == 3


async def test_messages_the_relay_would_reject_are_not_sent(
    relay: Relay, local_sqs: LocalSqs
) -> None:
    result = await relay(
        "send", "-", "--queue", "plain", stdin=f'{EVENT}\n{{"name":""}}\n\n{{broken\n{EVENT}\n'
    )
    assert result.code == 1
    assert result.out.startswith(
        f"2 sent to plain (account 000000000000, {local_sqs.sqs.url}), 2 inv"
    )
    first, second = (line for line in result.err.splitlines() if "was not sent" in line)
    assert first.startswith("relay: line 2 was not sent: the relay would reject it as empty_name")
    assert second.startswith("relay: line 4 was not sent: the relay would reject it as not_json")


async def test_without_the_check_everything_is_sent(relay: Relay, local_sqs: LocalSqs) -> None:
    result = await relay(
        "send", "-", "--queue", "plain", "--no-check", "--lines", stdin="[1,\nplain\n"
    )
    assert result.code == 0
    assert local_sqs.bodies() == ["[1,", "plain"]


async def test_a_field_that_the_relay_leaves_out_is_reported_at_its_first_document(
    relay: Relay, local_sqs: LocalSqs
) -> None:
    stdin = '{"name":"a","data":{},"prio":1}\n{"name":"a","prio":2,"Data":{}}\n'
    result = await relay("send", "-", "--queue", "plain", stdin=stdin)
    assert result.code == 0
    assert result.err.splitlines() == [
        "relay: line 1: no event has a field prio: it is left out, so put it into data",
        "relay: line 2: it has a field Data: it is sent as data",
        "relay: 2 messages: no event has a field prio: it is left out, so put it into data",
    ]
    assert len(local_sqs.bodies()) == 2


async def test_only_so_many_different_notices_are_reported(
    relay: Relay, local_sqs: LocalSqs
) -> None:
    stdin = "\n".join(f'{{"name":"a","f{i}":1}}' for i in range(50))
    result = await relay("send", "-", "--queue", "plain", "--json", stdin=stdin)
    assert len(result.err.splitlines()) == 20
    assert len(json.loads(result.out)["notices"]) == 20
    assert len(local_sqs.bodies()) == 50


async def test_the_result_as_json_says_how_many_and_where(
    relay: Relay, local_sqs: LocalSqs
) -> None:
    stdin = '{"name":"a"}\n{"name":"a","prio":1}\n{}\n'
    result = await relay("send", "-", "--queue", "plain", "--json", stdin=stdin)
    document = json.loads(result.out)
    assert document.pop("seconds") >= 0
    assert document == {
        "type": "sent",
        "queue": "plain",
        "queue_url": f"{local_sqs.sqs.url}/000000000000/plain",
        "account": "000000000000",
        "endpoint": local_sqs.sqs.url,
        "sent": 2,
        "invalid": 1,
        "failed": 0,
        "possible_duplicates": 0,
        "notices": {"unknown-field:prio": 1},
        "stopped": None,
    }


@pytest.mark.parametrize(
    ("queue", "endpoint", "why"),
    [
        (
            "https://sqs.eu-central-1.amazonaws.com/123456789012/plain",
            None,
            "is this machine, where AWS_ENDPOINT_URL sends every call",
        ),
        ("arn:aws:sqs:us-east-1:123456789012:plain", None, "it is in another account than http"),
        (
            "http://localhost:9324/000000000000/plain",
            "https://sqs.us-east-1.amazonaws.com",
            "is on AWS, where AWS_ENDPOINT_URL_SQS sends every call",
        ),
    ],
)
async def test_what_names_one_queue_is_not_sent_to_another_because_of_the_endpoint(
    relay: Relay, local_sqs: LocalSqs, queue: str, endpoint: str | None, why: str
) -> None:
    result = await relay("send", "-", "--queue", queue, stdin=EVENT, AWS_ENDPOINT_URL_SQS=endpoint)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith(f"relay: nothing was sent to {queue}: ")
    assert why in result.err
    assert not local_sqs.bodies()


async def test_only_the_failed_entry_of_a_batch_is_retried(
    relay: Relay, local_sqs: LocalSqs
) -> None:
    local_sqs.sqs.faults.add(
        Fault(action="SendMessageBatch", entries={3: "InternalError"}),
        Fault(action="SendMessageBatch", error="RequestThrottled"),
    )
    result = await relay("send", "-", "--queue", "plain", stdin=lines(10))
    assert result.code == 0
    assert result.err == ""
    assert sorted(local_sqs.bodies()) == sorted(lines(10).splitlines())
    assert local_sqs.sqs.requests["SendMessageBatch"] == 3


async def test_a_lost_response_is_retried_and_reported(relay: Relay, local_sqs: LocalSqs) -> None:
    local_sqs.sqs.faults.add(Fault(action="SendMessageBatch", drop=True))
    result = await relay("send", "-", "--queue", "plain", stdin=lines(3))
    assert result.code == 0
    assert "3 messages may be in the queue twice" in result.err
    assert len(local_sqs.bodies()) == 6


async def test_a_message_that_sqs_refuses_does_not_affect_the_others(
    relay: Relay, local_sqs: LocalSqs
) -> None:
    result = await relay(
        *("send", "-", "--queue", "plain", "--no-check", "--lines"), stdin="good\nbad\x01\ngood\n"
    )
    assert result.code == 1
    assert ", 1 failed in " in result.out
    assert "line 2 was not sent" in result.err
    assert local_sqs.bodies() == ["good", "good"]


async def test_a_fifo_queue_gets_messages_in_order_with_group_and_deduplication_ids(
    relay: Relay, local_sqs: LocalSqs
) -> None:
    local_sqs.sqs.faults.add(Fault(action="SendMessageBatch", skip=1, drop=True))
    result = await relay(
        *("send", "-", "--queue", "ordered.fifo", "--group-id", "g", "--dedup-id-from", "name"),
        stdin=lines(25),
    )
    stored = local_sqs.stored("ordered.fifo")
    assert result.code == 0
    assert result.err == ""
    assert [message.body for message in stored] == lines(25).splitlines()
    assert {message.group_id for message in stored} == {"g"}
    assert [message.dedup_id for message in stored] == [f"n/{i}" for i in range(25)]


async def test_nothing_is_sent_to_a_fifo_queue_after_a_message_that_failed(
    relay: Relay, local_sqs: LocalSqs
) -> None:
    local_sqs.sqs.faults.add(
        Fault(action="SendMessageBatch", entries={9: "Broken"}, sender_fault=True)
    )
    result = await relay(
        *("send", "-", "--queue", "ordered.fifo", "--group-id", "g"), stdin=lines(25)
    )
    assert result.code == 1
    assert local_sqs.bodies("ordered.fifo") == lines(9).splitlines()
    assert "line 11 and everything after it was not sent" in result.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("-",), "no queue given"),
        (("-", "--queue", "plain", "--lines", "--whole"), "cannot be combined"),
        (("-", "--queue", "ordered.fifo"), "--group-id"),
        (("-", "--queue", "plain", "--dedup-id-from", "id"), "needs a FIFO queue"),
        (("-", "--queue", "plain", "--attribute", "x"), "NAME=VALUE"),
        (("absent.json", "--queue", "plain"), "absent.json cannot be read"),
    ],
)
async def test_wrong_usage_is_one_sentence_and_exit_code_2(
    relay: Relay, local_sqs: LocalSqs, arguments: tuple[str, ...], sentence: str
) -> None:
    result = await relay("send", *arguments, stdin=EVENT)
    assert result.code == 2
    assert sentence in result.err
    assert result.err.count("\n") == 1
    assert not local_sqs.stored()


async def test_an_input_that_is_neither_json_nor_json_lines_is_wrong_usage(
    relay: Relay, local_sqs: LocalSqs
) -> None:
    result = await relay("send", "-", "--queue", "plain", stdin='{"a":\nnonsense\n')
    assert result.code == 2
    assert "neither JSON nor JSON lines" in result.err


async def test_invalid_settings_are_all_reported_before_anything_is_sent(
    relay: Relay, local_sqs: LocalSqs
) -> None:
    result = await relay(
        "send", "-", "--queue", "plain", stdin=EVENT, RELAY_HOLD="x", RELAY_METRICS="y"
    )
    assert result.code == 2
    assert [line.split()[1] for line in result.err.splitlines()] == ["RELAY_HOLD", "RELAY_METRICS"]
    assert not local_sqs.stored()


@pytest.mark.parametrize(
    ("queue", "variables", "sentence"),
    [
        ("absent", {}, "does not exist"),
        ("plain", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "no connection to 127.0.0.1"),
        ("plain", {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "credentials"),
        ("plain", {"AWS_REGION": None}, "AWS_REGION"),
        ("plain", {"AWS_PROFILE": "absent"}, "AWS_PROFILE"),
    ],
)
async def test_an_expected_failure_is_one_sentence_and_exit_code_1(
    relay: Relay, local_sqs: LocalSqs, queue: str, variables: dict[str, str | None], sentence: str
) -> None:
    result = await relay("send", "-", "--queue", queue, stdin=EVENT, **variables)
    assert result.code == 1
    assert sentence in result.err
    assert "Traceback" not in result.err
    assert result.err.count("\n") == 1


async def sender(environ: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay", "send", "-", "--queue", "plain"),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=environ,
    )


async def wait_for_messages(local_sqs: LocalSqs, count: int) -> None:
    """Wait until this many messages have arrived."""
    async with asyncio.timeout(60):
        while len(local_sqs.stored()) < count:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)


async def test_an_interruption_ends_the_wait_for_input_and_reports_what_was_sent(
    environ: dict[str, str], local_sqs: LocalSqs
) -> None:
    process = await sender(environ)
    assert process.stdin is not None
    # A window and a half: the command waits for the rest of the second one.
    process.stdin.write(lines(120).encode())
    await process.stdin.drain()
    await wait_for_messages(local_sqs, 80)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        _, error = await process.communicate()
    assert process.returncode == 130
    assert "interrupted" in error.decode()
    assert "up to 80 of the following ones may be" in error.decode()
    assert b"Traceback" not in error
    assert len(local_sqs.bodies()) == 80
