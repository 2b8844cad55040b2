"""The gateway's event API, request by request: what is accepted, refused, and left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relay.publishing.opening import PublisherOptions
from tests.gateway.running import KEY, running_gateway

EVENT = {"name": "shop/order.created", "data": {"n": 1}}
SEED = "1743130137367,eii2YKXRVTJPuA=="
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ULID = 26


async def test_one_event_and_an_array_are_answered_with_an_id_for_each_event_in_the_queue() -> None:
    async with running_gateway() as gateway:
        one = (await gateway.post(EVENT)).json()
        several = (await gateway.post([EVENT, {**EVENT, "id": "own"}])).json()
        assert one["status"] == several["status"] == 200
        assert gateway.ids == [*one["ids"], *several["ids"]]
        assert [len(found) for found in gateway.ids] == [ULID, ULID, 3]
        assert gateway.accepted == 3


async def test_a_repeated_request_with_its_seed_has_the_same_ids() -> None:
    async with running_gateway() as gateway:
        first = await gateway.post([EVENT, EVENT], x_inngest_event_id_seed=SEED)
        second = await gateway.post([EVENT, EVENT], x_inngest_event_id_seed=SEED)
        assert first.json() == second.json()
        assert first.json()["ids"] == ["01JQDAE4RQF8MBCR55T5AK4KXS", "01JQDAE4RQF8MBCR55T5AK4KXT"]


async def test_a_seed_that_is_none_gives_new_ids_as_the_server_does() -> None:
    async with running_gateway() as gateway:
        first = await gateway.post(EVENT, x_inngest_event_id_seed="1743130137367,short")
        second = await gateway.post(EVENT, x_inngest_event_id_seed="1743130137367,short")
        assert first.status_code == second.status_code == 200
        assert first.json()["ids"] != second.json()["ids"]


async def test_an_event_is_sent_byte_for_byte_with_its_meta_and_without_unknown_fields() -> None:
    data = '{"n": 1.10, "big": 12345678901234567890, "t": "\\ud800", "u": "\uffff"}'
    body = '{"name":"a/b","id":"i","ts":1700000000000,"data":%s,"meta":{"sessions":{"s":1}},"x":1}'
    async with running_gateway() as gateway:
        assert (await gateway.post((body % data).encode())).status_code == 200
        (message,) = gateway.messages
        # SQS takes no U+FFFF, and JSON has an escape for it.
        assert f'"data":{data}'.replace("\uffff", "\\uffff") in message.body
        (event,) = gateway.events
        assert set(event) == {"id", "name", "data", "ts", "meta"}
        assert event["meta"] == {"sessions": {"s": 1}}


async def test_environment_and_trace_are_attributes_of_the_message() -> None:
    async with running_gateway() as gateway:
        await gateway.post(EVENT, x_inngest_env="branch 7", traceparent=TRACE)
        await gateway.post(EVENT, traceparent="nonsense")
        first, second = gateway.messages
        values = {name: one.string_value for name, one in first.attributes.items()}
        assert values == {"x-inngest-env": "branch 7", "traceparent": TRACE}
        assert not second.attributes


async def test_an_empty_array_is_accepted_and_sends_nothing() -> None:
    async with running_gateway() as gateway:
        assert (await gateway.post(" [ ] ")).json() == {"ids": [], "status": 200}
        assert gateway.messages == []


DEEP = '{"name":"a","data":' + '{"a":' * 150 + "1" + "}" * 151
BAD: dict[str, tuple[str | bytes, int, str, str]] = {
    "empty": ("", 400, "empty_body", "empty"),
    "no JSON": ("name=x", 400, "not_json", "line 1 column 1"),
    "cut JSON": ('[{"name":"a"},{"na', 400, "not_json", "column"),
    "a number": ("7", 400, "not_an_object", "object"),
    "an array of numbers": ("[7]", 400, "not_an_object", "event 1: "),
    "NaN": ('[{"name":"a","data":{"x":NaN}}]', 400, "not_finite", "event 1: NaN"),
    "too large a number": ('{"name":"a","data":{"x":1e999}}', 400, "number_too_large", "1e999"),
    "not UTF-8": (b'{"name":"\xff"}', 400, "invalid_utf8", "byte 9"),
    "byte order mark": (b'\xef\xbb\xbf{"name":"a"}', 400, "byte_order_mark", "UTF-8"),
    "UTF-16": ('{"name":"a"}'.encode("utf-16"), 400, "byte_order_mark", "UTF-8"),
    "too deep": (DEEP, 400, "too_deep", "100 levels"),
    "repeated field": ('{"name":"a","name":"b"}', 400, "duplicate_key", "event 1: "),
    "no name": ('[{"name":"a"},{"data":{}}]', 400, "missing_name", "event 2: "),
    "name no text": (
        '[{"name":"a"},{"name":1}]',
        400,
        "name_not_text",
        "event 2: the event's name",
    ),
    "reserved name": ('{"name":"inngest/a"}', 400, "reserved_name", "inngest/"),
    "data no object": ('{"name":"a","data":[]}', 400, "data_not_object", "data"),
    "id no text": ('{"name":"a","id":7}', 400, "id_not_text", "id"),
    "ts in seconds": ('{"name":"a","ts":1700000000}', 400, "ts_in_seconds", "milliseconds"),
    "bad sessions": ('{"name":"a","meta":{"sessions":7}}', 400, "bad_sessions", "sessions"),
    "5,001 events": (
        "[" + ",".join(['{"name":"a"}'] * 5_001) + "]",
        413,
        "too_many_events",
        "5001",
    ),
    "over 3 MiB": (
        '[{"name":"b"},{"name":"a","data":{"x":"%s"}}]' % ("x" * 3_145_728),
        413,
        "event_too_large",
        "event 2: ",
    ),
    "over 1 MiB": (
        '[{"name":"b"},{"name":"a","data":{"x":"%s"}}]' % ("x" * 1_048_576),
        413,
        "event_too_large",
        "S3 bucket",
    ),
    "over 8 MiB in all": ("[" + " " * 8_388_608 + "]", 413, "request_too_large", "8388608"),
}


@pytest.mark.parametrize("what", list(BAD))
async def test_bad_input_is_refused_as_a_whole_with_what_is_wrong(what: str) -> None:
    body, status, code, words = BAD[what]
    async with running_gateway() as gateway:
        answer = await gateway.post(body)
        assert (answer.status_code, answer.json()["status"]) == (status, status)
        assert answer.json()["code"] == code
        assert words in answer.json()["error"]
        assert gateway.messages == []
        assert gateway.codes == [code]


async def test_the_largest_request_is_split_over_messages_and_has_5000_ids() -> None:
    async with running_gateway() as gateway:
        answer = await gateway.post([{"name": "a"}] * 5_000, x_inngest_event_id_seed=SEED)
        assert len(set(answer.json()["ids"])) == 5_000
        assert sorted(gateway.ids) == sorted(answer.json()["ids"])
        assert len(gateway.messages) == 50
        assert gateway.sqs.requests["SendMessageBatch"] == 5


async def test_events_of_a_message_take_at_most_what_sqs_bills_as_one_request() -> None:
    async with running_gateway() as gateway:
        await gateway.post([{"name": "a", "data": {"x": "x" * 30_000}}] * 5)
        sizes = [len(message.body) for message in gateway.messages]
        assert len(sizes) == 3
        assert max(sizes) <= 65_536


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", f"/e/{KEY}", 405), ("PUT", f"/e/{KEY}", 405), ("POST", "/", 404), ("GET", "/x", 404)],
)
async def test_other_paths_and_methods_have_an_error_that_an_sdk_reads(
    method: str, path: str, status: int
) -> None:
    async with running_gateway() as gateway:
        answer = await gateway.http.request(method, path)
        assert answer.status_code == answer.json()["status"] == status
        assert answer.json()["error"]


async def test_health_and_readiness_need_no_key() -> None:
    async with running_gateway() as gateway:
        assert (await gateway.http.get("/health")).status_code == 200
        assert (await gateway.http.get("/ready")).json() == {"ready": True}


@pytest.mark.parametrize("env", ["", "x" * 257, "caf\u00e9", "a\tb"])
async def test_an_environment_that_cannot_be_one_is_refused_unless_it_is_empty(env: str) -> None:
    async with running_gateway() as gateway:
        headers = [(b"x-inngest-env", env.encode("latin-1"))]
        answer = await gateway.http.post(f"/e/{KEY}", json=EVENT, headers=headers)
        assert answer.status_code == (400 if env.strip() else 200)
        assert len(gateway.messages) == (0 if env.strip() else 1)


async def test_a_group_path_orders_a_fifo_queue_and_sqs_recognises_a_repeated_event() -> None:
    options = PublisherOptions(group_path="data.customer")
    async with running_gateway(queue="orders.fifo", options=options) as gateway:
        events: list[Any] = [
            {"name": "a/b", "id": f"e-{n}", "data": {"customer": customer}}
            for n, customer in enumerate(["c1", 7, "c1", None, "a b \u00fc"])
        ]
        assert (await gateway.post(events)).status_code == 200
        assert (await gateway.post(events)).status_code == 200
        by_id = dict(zip(gateway.ids, gateway.messages, strict=True))
        assert set(by_id) == {f"e-{n}" for n in range(5)}
        groups = {ident: message.group_id for ident, message in by_id.items()}
        assert groups["e-0"] == groups["e-2"] == "c1"
        assert groups["e-1"] == "7"
        assert len(set(groups.values())) == 4
        assert gateway.ids.index("e-0") < gateway.ids.index("e-2")


async def test_the_same_id_in_another_environment_or_under_another_name_is_another_event() -> None:
    async with running_gateway(queue="orders.fifo") as gateway:
        event = {"name": "a/b", "id": "e-1"}
        await gateway.post(event)
        await gateway.post(event, x_inngest_env="branch")
        await gateway.post({**event, "name": "a/c"})
        await gateway.post(event)
        assert len(gateway.messages) == 3


@pytest.mark.parametrize("path", [f"/e/{KEY}/", "/e//", "/health/"])
async def test_no_path_is_redirected(path: str) -> None:
    async with running_gateway() as gateway:
        answer = await gateway.http.post(path, content=json.dumps(EVENT))
        assert answer.status_code == 404
        assert answer.json()["error"]


async def test_an_error_in_the_gateway_itself_is_503_with_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        async def publish(self, events: Any) -> None:
            raise RuntimeError("broken")

    async with running_gateway() as gateway:
        gateway.app.publisher = Broken()
        answer = await gateway.post(EVENT)
        assert (answer.status_code, answer.json()["status"]) == (503, 503)
        assert answer.json()["error"]
        assert "broken" not in answer.text
        assert "broken" in caplog.text


async def test_refusals_are_logged_with_the_keys_name_and_at_most_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    async with running_gateway(clock=lambda: now[0]) as gateway:
        for _ in range(5):
            await gateway.post({"name": 7})
        await gateway.post(EVENT, key="wrong")
        now[0] = 61.0
        await gateway.post({"name": 7})
    lines = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    bad = "refused with 400, of the key web: event 1: the event's name is not a text"
    unknown = "refused with 401, of no known key: the gateway does not know this event key"
    assert lines == [
        f"1 of the gateway's requests {bad}",
        f"1 of the gateway's requests {unknown}",
        f"5 of the gateway's requests {bad}",
    ]
