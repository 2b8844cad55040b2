from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from relay.local.clock import ManualClock
from relay.local.inngest import Fault, Function, InngestServer, Rule


async def send(client: httpx.AsyncClient, **event: object) -> str:
    answer = await client.post("/e/key", json={"name": "a/b", **event})
    return str(answer.json()["ids"][0])


async def test_a_stored_event_can_be_read(client: httpx.AsyncClient) -> None:
    ulid = await send(client, id="x", data={"k": 1}, ts=1767225600000)
    answer = await client.get(f"/v1/events/{ulid}")

    assert answer.status_code == answer.json()["status"] == 200
    event = answer.json()["data"]
    assert (event["internal_id"], event["id"], event["name"]) == (ulid, "x", "a/b")
    assert (event["data"], event["ts"]) == ({"k": 1}, 1767225600000)


async def test_an_unknown_event_is_a_200_with_404_in_the_body(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/events/01JQJ00000000000000000000Z")

    assert (answer.status_code, answer.json()["status"]) == (200, 404)


async def test_an_id_that_is_not_a_ulid_is_a_400(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/events/x")).status_code == 400
    assert (await client.get("/v1/events?cursor=x")).status_code == 400
    assert (await client.get("/v1/events?received_after=x")).status_code == 400


async def test_runs_are_listed_with_their_status(
    server: InngestServer, clock: ManualClock, client: httpx.AsyncClient
) -> None:
    server.functions.append(Function(name="second", on="*"))
    ulid = await send(client, id="x", ts=int((clock.time() + 5) * 1000))
    waiting = await client.get(f"/v1/events/{ulid}/runs")
    clock.advance(5)
    done = await client.get(f"/v1/events/{ulid}/runs")

    assert waiting.headers["cache-control"] == "max-age=15"
    assert {run["status"] for run in waiting.json()["data"]} == {"Scheduled"}
    assert {(run["function_id"], run["status"]) for run in done.json()["data"]} == {
        ("index", "Completed"),
        ("second", "Completed"),
    }


async def test_a_copy_has_no_runs_of_its_own(client: httpx.AsyncClient) -> None:
    first, copy = await send(client, id="x"), await send(client, id="x")

    assert len((await client.get(f"/v1/events/{first}/runs")).json()["data"]) == 1
    assert (await client.get(f"/v1/events/{copy}/runs")).json()["data"] == []


async def test_events_are_listed_newest_first_in_pages_of_at_most_51(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    sent = []
    for _ in range(60):
        sent.append(await send(client))
        clock.advance(0.01)
    first = (await client.get("/v1/events?limit=100")).json()["data"]
    cursor = first[-1]["internal_id"]
    second = (await client.get(f"/v1/events?limit=51&cursor={cursor}")).json()["data"]

    assert (len(first), len(second)) == (51, 9)
    assert [event["internal_id"] for event in first + second] == sent[::-1]
    assert len((await client.get("/v1/events")).json()["data"]) == 20


async def test_the_list_is_filtered_by_name_and_time(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    old = await send(client)
    clock.advance(10)
    new, other = await send(client), await send(client, name="c/d")
    between = datetime.fromtimestamp(clock.time() - 5, UTC).isoformat()

    async def listed(**query: str) -> set[str]:
        answer = await client.get("/v1/events", params=query)
        return {event["internal_id"] for event in answer.json()["data"]}

    assert await listed(name="a/b") == {old, new}
    assert await listed(received_after=between) == {new, other}
    assert await listed(received_before=between) == {old}


async def test_a_fault_can_empty_the_body_of_a_read(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    ulid = await send(client)
    server.script.add(Rule(fault=Fault(status=200, body=""), path="/v1/"))
    answer = await client.get(f"/v1/events/{ulid}/runs")

    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("path", ["/v1/events/", "/v1/runs", "/v1/events/a/b/c"])
async def test_other_paths_return_the_web_page(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
