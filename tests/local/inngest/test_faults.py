from __future__ import annotations

import asyncio
import socket

import httpx
import pytest

from relay.local.clock import ManualClock
from relay.local.inngest import Fault, Function, InngestServer, Request, Rule

EVENTS = [{"id": f"e{n}", "name": "a/b"} for n in range(4)]


async def post(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/e/key", json=EVENTS)


def stored(server: InngestServer) -> list[str]:
    return sorted(event.id for event in server.events)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (429, {"Retry-After": "3"}),
        (429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        (429, {}),
        (500, {}),
        (502, {}),
        (503, {}),
        (302, {"Location": "/"}),
        (307, {"Location": "https://elsewhere.invalid/e/key"}),
        (401, {}),
        (403, {}),
        (413, {}),
    ],
)
@pytest.mark.parametrize("accept", [0, None])
async def test_any_status_can_be_returned_with_and_without_accepting(
    server: InngestServer,
    client: httpx.AsyncClient,
    status: int,
    headers: dict[str, str],
    accept: int | None,
) -> None:
    server.script.add(Rule(fault=Fault(status=status, headers=headers, accept=accept)))
    answer = await post(client)

    assert answer.status_code == answer.json()["status"] == status
    assert headers.items() <= {name.title(): v for name, v in answer.headers.items()}.items()
    assert len(server.events) == (0 if accept == 0 else 4)
    assert (await post(client)).status_code == 200


async def test_html_is_returned_with_a_200(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    server.script.add(Rule(fault=Fault(accept=0, status=200, body="<html>hello</html>")))
    answer = await post(client)

    assert (answer.status_code, answer.text) == (200, "<html>hello</html>")
    assert answer.headers["content-type"].startswith("text/html")
    assert stored(server) == []


@pytest.mark.parametrize("end", ["reset", "close"])
@pytest.mark.parametrize("accept", [0, None])
async def test_a_connection_can_end_before_or_after_accepting(
    server: InngestServer, client: httpx.AsyncClient, end: str, accept: int | None
) -> None:
    fault = Fault(accept=accept, end="reset" if end == "reset" else "close")
    server.script.add(Rule(fault=fault))
    expected = httpx.ReadError if end == "reset" else httpx.RemoteProtocolError
    with pytest.raises(expected):
        await post(client)

    assert len(server.events) == (0 if accept == 0 else 4)


async def test_a_connection_can_be_closed_before_anything_is_read(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    server.script.add(Rule(fault=Fault(end="refuse")))
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError)):
        await post(client)

    assert len(server.requests) == 0
    assert (await post(client)).status_code == 200


async def test_a_body_can_be_shorter_than_its_content_length(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    server.script.add(Rule(fault=Fault(end="cut")))
    with pytest.raises(httpx.RemoteProtocolError):
        await post(client)

    assert len(server.events) == 4


async def test_a_slow_response_waits_on_the_clock_after_accepting(
    server: InngestServer, clock: ManualClock, client: httpx.AsyncClient
) -> None:
    server.script.add(Rule(fault=Fault(delay=30.0)))
    answer = asyncio.create_task(post(client))
    await clock.until_asleep()
    accepted = stored(server)
    clock.advance(30.0)

    assert accepted == ["e0", "e1", "e2", "e3"]
    assert (await answer).status_code == 200


@pytest.mark.parametrize(("accept", "claim"), [(3, 1), (1, 3), (0, 2), (4, 0), (2, None)])
async def test_a_400_can_report_a_wrong_prefix(
    server: InngestServer, client: httpx.AsyncClient, accept: int, claim: int | None
) -> None:
    fault = Fault(accept=accept, claim=claim, status=400, error="event name is empty")
    server.script.add(Rule(fault=fault))
    answer = await post(client)

    listed = [ulid for ulid in answer.json()["ids"] if ulid]
    assert (answer.status_code, answer.json()["error"]) == (400, "event name is empty")
    assert len(listed) == (accept if claim is None else claim)
    assert stored(server) == [f"e{n}" for n in range(accept)]


async def test_a_success_can_list_fewer_ids_than_events(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    server.script.add(Rule(fault=Fault(accept=2, claim=2)))
    answer = await post(client)

    assert (answer.status_code, len(answer.json()["ids"])) == (200, 2)
    assert stored(server) == ["e0", "e1"]


async def test_events_can_be_acknowledged_and_lost(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    server.script.add(Rule(fault=Fault(forget=True)))
    answer = await post(client)

    assert (answer.status_code, len(answer.json()["ids"])) == (200, 4)
    assert server.acknowledged.total() == 4
    assert stored(server) == []


async def test_a_rule_applies_to_requests_with_its_ids_or_names_up_to_its_times(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    server.script.add(
        Rule(fault=Fault(accept=0, status=502), ids=frozenset({"poison"}), times=None),
        Rule(fault=Fault(accept=0, status=403), names=frozenset({"c/d"}), times=2),
    )

    async def status(**event: str) -> int:
        return (await client.post("/e/key", json=[{"name": "a/b", **event}])).status_code

    assert [await status(id="poison") for _ in range(3)] == [502] * 3
    assert [await status(name="c/d") for _ in range(3)] == [403, 403, 200]
    assert await status(id="good") == 200


async def test_a_fault_function_gets_the_ids_and_names_of_each_request(clock: ManualClock) -> None:
    calls: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    def faults(request: Request) -> Fault | None:
        calls.append((request.ids, request.names))
        return Fault(accept=0, status=503) if len(calls) == 1 else None

    async with (
        InngestServer(faults=faults, clock=clock) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False, verify=False) as client,
    ):
        answers = [(await post(client)).status_code for _ in range(2)]

    assert answers == [503, 200]
    assert calls[0] == (("e0", "e1", "e2", "e3"), ("a/b",) * 4)


async def test_a_fault_function_can_close_the_connection(clock: ManualClock) -> None:
    async with (
        InngestServer(faults=lambda _: Fault(end="refuse"), clock=clock) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False, verify=False) as client,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            await post(client)

        assert stored(server) == []


async def test_the_events_of_a_client_that_times_out_are_accepted(
    server: InngestServer,
) -> None:
    server.script.add(Rule(fault=Fault(delay=30.0)))
    async with httpx.AsyncClient(
        base_url=server.url, trust_env=False, verify=False, timeout=0.05
    ) as client:
        with pytest.raises(httpx.ReadTimeout):
            await post(client)

    assert len(stored(server)) == 4


async def test_another_process_can_set_faults_and_functions_and_read_the_records(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    await client.post("/_functions", json=[{"name": "f", "on": "a/*"}])
    rule = {"fault": {"status": 503, "accept": 0}, "times": 1, "ids": ["e1"]}
    await client.post("/_faults", json=[rule])
    listed = (await client.get("/_faults")).json()["faults"]
    answers = [(await post(client)).status_code for _ in range(2)]

    assert (listed[0]["fault"]["status"], listed[0]["ids"]) == (503, ["e1"])
    assert answers == [503, 200]
    assert server.functions == [Function(name="f", on="a/*")]
    runs = (await client.get("/_runs")).json()["runs"]
    events = (await client.get("/_events")).json()
    assert {(run["function"], run["event_id"]) for run in runs} == {
        ("f", f"e{n}") for n in range(4)
    }
    assert len(events["stored"]) == 4
    assert events["acknowledged"] == {f"e{n}": 1 for n in range(4)}


async def test_faults_can_be_removed_and_invalid_ones_are_a_400(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    await client.post("/_faults", json=[{"fault": {"status": 503}}])
    await client.delete("/_faults")
    invalid = await client.post("/_faults", json=[{"fault": {"status": "high"}}])

    assert (await post(client)).status_code == 200
    assert invalid.status_code == 400
    assert "status" in invalid.json()["error"]


async def test_what_arrived_before_the_client_disconnected_is_accepted(
    server: InngestServer,
) -> None:
    head = b"POST /e/key HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head + b'[{"id":"e0","name":"a/b"},{"id":"e1","name":"a/b"},{"id":"e2",')
    await server.until(lambda: bool(server.events))

    assert stored(server) == ["e0"]
