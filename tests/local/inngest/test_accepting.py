from __future__ import annotations

import gzip
from typing import Any

import httpx
import pytest

from relay.local.clock import ManualClock
from relay.local.inngest import Fault, Function, InngestServer, Rule

SHAPELESS = "Request body must contain an event object or an array of event objects"
GOOD = '{"name":"a/b"}'


def unmarshal(kind: str, field: str, wanted: str) -> str:
    return f"json: cannot unmarshal {kind} into Go struct field raw.{field} of type {wanted}"


async def test_ids_come_in_request_order_as_text_that_is_json(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/e/key", json=[{"id": "x", "name": "a/b"}, {"name": "a/b"}])

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.json().keys() == {"ids", "status"}
    assert answer.json()["status"] == 200
    by_id = {event.internal_id: event.id for event in server.events}
    first, second = answer.json()["ids"]
    assert by_id == {first: "x", second: second}


@pytest.mark.parametrize("body", ["", " \r\n", "[]", "[ ]", "["])
async def test_a_body_without_events_is_a_success_with_one_empty_id(
    server: InngestServer, client: httpx.AsyncClient, body: str
) -> None:
    answer = await client.post("/e/key", content=body)

    assert (answer.status_code, answer.json()) == (200, {"ids": [""], "status": 200})
    assert server.events == []


@pytest.mark.parametrize("path", ["/e", "/e/a/b", "/event/key", "/"])
async def test_an_unknown_path_returns_the_web_page_with_a_200(
    server: InngestServer, client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.post(path, content=GOOD)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert server.events == []


async def test_an_empty_key_is_redirected_to_the_web_page_with_a_200(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/e/", content=GOOD)

    assert answer.status_code == 303
    assert (await client.post("/e/", content=GOOD, follow_redirects=True)).status_code == 200


@pytest.mark.parametrize("cut", [f"[{GOOD}", f"[{GOOD},{GOOD}\n ", f"[{GOOD},{GOOD}] and more"])
async def test_an_array_cut_after_an_event_is_a_success_for_the_events_before(
    server: InngestServer, client: httpx.AsyncClient, cut: str
) -> None:
    answer = await client.post("/e/key", content=cut)

    assert answer.status_code == 200
    assert len(answer.json()["ids"]) == len(server.events) == cut.count(GOOD)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ("{}", "event name is empty"),
        ("null", "event name is empty"),
        ('{"name":""}', "event name is empty"),
        ('{"name":"Inngest/x"}', "event name is reserved for internal use: Inngest/x"),
        ('{"name":1}', unmarshal("number", "name", "string")),
        ('{"name":"a","data":"x"}', unmarshal("string", "data", "map[string]interface {}")),
        ('{"name":"a","data":[]}', unmarshal("array", "data", "map[string]interface {}")),
        ('{"name":"a","data":1}', unmarshal("number", "data", "map[string]interface {}")),
        ('{"name":"a","user":true}', unmarshal("bool", "user", "map[string]interface {}")),
        ('{"name":"a","id":7}', unmarshal("number", "id", "string")),
        ('{"name":"a","v":{}}', unmarshal("object", "v", "string")),
        ('{"name":"a","ts":"1"}', unmarshal("string", "ts", "int64")),
        ('{"name":"a","ts":1.5}', unmarshal("number 1.5", "ts", "int64")),
        ('{"name":"a","ts":1767225600}', "timestamp is before Jan 1, 1980"),
        ('{"name":"a","ts":-1}', "timestamp is before Jan 1, 1980"),
        ('{"name":"a","ts":4102444800001}', "timestamp is after Jan 1, 2100"),
        ('{"name":"a","data":{"n":1e400}}', unmarshal("number 1e400", "data", "float64")),
        ("7", "json: cannot unmarshal number into Go value of type event.raw"),
    ],
)
async def test_the_first_bad_event_is_a_400_that_lists_the_stored_prefix(
    server: InngestServer, client: httpx.AsyncClient, bad: str, error: str
) -> None:
    answer = await client.post("/e/key", content=f"[{GOOD},{GOOD},{bad},{GOOD}]")

    assert (answer.status_code, answer.json()["status"]) == (400, 400)
    assert answer.json()["error"] == error
    assert set(answer.json()["ids"]) == {event.internal_id for event in server.events}
    assert len(server.events) == 2


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ('{"name":"a","data":{"n":NaN}}', "invalid character 'N' looking for beginning of value"),
        ("nonsense", "invalid character 'n' looking for beginning of value"),
        ("{bad}", "invalid character 'b' looking for beginning of object key string"),
        ("[" * 200_000, "invalid character '[' exceeded max depth"),
        ('{"name":"a"', "unexpected EOF"),
        ('{"na', "unexpected EOF"),
        ("", "EOF"),
    ],
)
async def test_a_body_that_breaks_as_json_loses_the_good_event_before_the_break(
    server: InngestServer, client: httpx.AsyncClient, bad: str, error: str
) -> None:
    behind = "" if error.endswith("EOF") else f",{GOOD}]"
    answer = await client.post("/e/key", content=f"[{GOOD},{GOOD},{bad}{behind}")

    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.json()["ids"] == [event.internal_id for event in server.events]
    assert len(server.events) == 1


async def test_a_fault_can_store_the_event_before_the_break_without_listing_it(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    server.script.add(Rule(fault=Fault(accept=1, claim=0)))
    answer = await client.post("/e/key", content=f"[{GOOD},{{bad}}]")

    assert (answer.status_code, answer.json()["ids"]) == (400, [""])
    assert len(server.events) == 1


async def test_a_bad_first_event_leaves_one_empty_id(client: httpx.AsyncClient) -> None:
    answer = await client.post("/e/key", content=f"[{{}},{GOOD}]")

    assert answer.status_code == 400
    assert answer.json() == {"ids": [""], "status": 400, "error": "event name is empty"}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"7", SHAPELESS),
        (b'"text"', SHAPELESS),
        (b"null", SHAPELESS),
        (b"\xef\xbb\xbf" + GOOD.encode(), SHAPELESS),
        (gzip.compress(GOOD.encode(), mtime=0), SHAPELESS),
        (b'{"name":"a/b"', "unexpected end of JSON input"),
        (b'{"name":"a/b"} x', "invalid character 'x' after top-level value"),
        (b'[{"name":"a/b"} {"name":"a/b"}]', "expected comma after array element"),
        (b"[" * 200_000, "invalid character '[' exceeded max depth"),
    ],
)
async def test_a_body_that_is_neither_an_event_nor_an_array_is_a_400(
    client: httpx.AsyncClient, body: bytes, error: str
) -> None:
    answer = await client.post("/e/key", content=body)

    assert answer.status_code == 400
    assert answer.json()["error"] == error


@pytest.mark.parametrize("ts", [0, None, 315_532_800_000, 4_102_444_800_000])
async def test_a_time_within_range_or_none_is_accepted(
    server: InngestServer, clock: ManualClock, client: httpx.AsyncClient, ts: int | None
) -> None:
    answer = await client.post("/e/key", json={"name": "a/b", "ts": ts})

    assert answer.status_code == 200
    assert server.events[0].ts == (ts or int(clock.time() * 1000))


async def test_the_most_events_are_accepted_and_one_more_drops_the_last_of_them(
    clock: ManualClock,
) -> None:
    full = f"[{','.join([GOOD] * 5_000)}]"
    async with (
        InngestServer(clock=clock) as server,
        httpx.AsyncClient(trust_env=False, verify=False) as client,
    ):
        passed = await client.post(f"{server.url}/e/key", content=full)
        stored = len(server.events)
        refused = await client.post(f"{server.url}/e/key", content=f"{full[:-1]},{GOOD}]")

        assert (passed.status_code, stored) == (200, 5_000)
        assert (refused.status_code, len(refused.json()["ids"])) == (400, 4_999)
        assert refused.json()["error"] == "Cannot have more than 5000 events in a batch"
        assert len(server.events) == 9_999


@pytest.mark.parametrize(("before", "after"), [("", ""), (f"[{GOOD},", "]")])
async def test_an_event_of_three_mebibytes_is_accepted_and_one_byte_more_is_a_400(
    server: InngestServer, client: httpx.AsyncClient, before: str, after: str
) -> None:
    head, tail = '{"name":"a/b","data":{"x":"', '"}}'
    fits = head + "y" * (3_145_728 - len(head) - len(tail)) + tail
    over = fits.replace("y", "yy", 1)

    passed = await client.post("/e/key", content=before + fits + after)
    refused = await client.post("/e/key", content=before + over + after)

    assert passed.status_code == 200
    assert refused.status_code == 400
    assert "Max 3145728 bytes / Size 3145729 bytes" in refused.json()["error"]
    assert len(server.events) == (3 if before else 1)


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ('{"n":9007199254740993}', {"n": 9007199254740992}),
        ('{"n":-9007199254740993}', {"n": -9007199254740992}),
        ('{"n":-9223372036854775809}', {"n": -9223372036854776000}),
        ('{"n":9007199254740991,"f":1.10}', {"n": 9007199254740991, "f": 1.1}),
        ('{"k":1,"k":2}', {"k": 2}),
        (r'{"s":"\ud800!","p":"\ud83d\ude00"}', {"s": "\ufffd!", "p": "\U0001f600"}),
        ('{"_inngest":{"fn_id":"x"},"k":1}', {"k": 1}),
        ("null", None),
    ],
)
async def test_functions_see_the_payload_as_the_server_parsed_it(
    server: InngestServer, client: httpx.AsyncClient, sent: str, seen: Any
) -> None:
    answer = await client.post("/e/key", content=f'{{"name":"a/b","data":{sent}}}')

    assert answer.status_code == 200
    assert server.runs[0].payload == seen


async def test_invalid_utf_8_becomes_the_replacement_character(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    await client.post("/e/key", content=b'{"name":"a/b","data":{"s":"\xff"}}')

    assert server.runs[0].payload == {"s": "\ufffd"}


async def test_unknown_fields_are_dropped_and_field_names_are_case_insensitive(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    await client.post("/e/key", json={"NAME": "a/b", "Data": {"k": 1}, "source": "x"})

    assert (server.runs[0].event_name, bytes(server.runs[0].data)) == ("a/b", b'{"k":1}')


async def test_every_function_that_listens_runs_and_no_function_is_fine(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    server.functions[:] = [
        Function(name="one", on="a/b"),
        Function(name="two", on="a/*"),
        Function(name="all", on="*"),
    ]
    await client.post("/e/key", json=[{"id": "x", "name": "a/b"}, {"id": "y", "name": "c/d"}])
    server.functions.clear()
    await client.post("/e/key", json={"id": "z", "name": "a/b"})

    assert {(run.function, run.event_id) for run in server.runs} == {
        ("one", "x"),
        ("two", "x"),
        ("all", "x"),
        ("all", "y"),
    }
    assert {event.id for event in server.events} == {"x", "y", "z"}


async def test_a_chunked_body_and_expect_100_continue_are_supported(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    async def chunks() -> Any:
        yield b'{"name":'
        yield b'"a/b"}'

    answer = await client.post("/e/key", content=chunks(), headers={"Expect": "100-continue"})

    assert (answer.status_code, len(server.runs)) == (200, 1)
