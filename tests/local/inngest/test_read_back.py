from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from relay.local.clock import ManualClock
from relay.local.inngest import Fault, Function, InngestServer, Rule


async def send(client: httpx.AsyncClient, **event: object) -> str:
    answer = await client.post("/e/key", json={"name": "a/b", **event})
    return str(answer.json()["ids"][0])


async def test_a_stored_event_is_read_without_a_status(client: httpx.AsyncClient) -> None:
    ulid = await send(client, id="x", data={"k": 1}, ts=1767225600000)
    answer = await client.get(f"/v1/events/{ulid}")

    assert (answer.status_code, answer.json().keys()) == (200, {"data", "metadata"})
    event = answer.json()["data"]
    assert (event["internal_id"], event["id"], event["name"]) == (ulid, "x", "a/b")
    assert (event["data"], event["ts"]) == ({"k": 1}, 1767225600000)


async def test_an_error_is_a_200_with_its_status_in_the_body(client: httpx.AsyncClient) -> None:
    paths = (
        "/v1/events/01JQJ00000000000000000000Z",
        "/v1/events/x",
        "/v1/events?cursor=x",
        "/v1/events?received_after=x",
        "/v1/runs/01JQJ00000000000000000000Z",
    )
    answers = [await client.get(path) for path in paths]

    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json()["status"] for answer in answers] == [404, 400, 400, 400, 500]
    assert all(answer.json()["data"] is None for answer in answers)


async def test_a_missing_event_is_not_cached_and_a_found_one_is_for_five_seconds(
    server: InngestServer, clock: ManualClock, client: httpx.AsyncClient
) -> None:
    server.script.add(Rule(fault=Fault(forget=True)))
    lost = await send(client)
    found = await send(client)
    answers = []
    for seconds in (0.0, 4.9, 0.1):
        clock.advance(seconds)
        answers.append(await client.get(f"/v1/events/{found}"))
    missing = [await client.get(f"/v1/events/{lost}") for _ in range(2)]

    assert [answer.headers.get("cache-control") for answer in answers] == [
        "private, max-age=5",
        None,
        "private, max-age=5",
    ]
    assert answers[1].headers["content-type"] == "text/plain; charset=utf-8"
    assert answers[0].content == answers[1].content != answers[2].content
    assert {answer.headers["content-type"] for answer in missing} == {"application/json"}


async def test_an_early_look_hides_a_run_for_fifteen_seconds_but_not_from_the_api_v2(
    server: InngestServer, clock: ManualClock, client: httpx.AsyncClient
) -> None:
    server.functions[:] = [Function(name="many", on="a/b", batched=True, size=10, wait=2.0)]
    ulid = await send(client)
    seen = []
    for seconds in (0.0, 14.9, 0.1):
        clock.advance(seconds)
        old = (await client.get(f"/v1/events/{ulid}/runs")).json()["data"]
        new = (await client.get(f"/api/v2/events/{ulid}/runs")).json().get("data", [])
        seen.append((len(old), len(new)))

    assert seen == [(0, 0), (0, 1), (1, 1)]


async def test_a_restart_forgets_cached_answers(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    ulid = await send(client)
    await client.get(f"/v1/events/{ulid}")
    await server.terminate()
    await server.restart()
    answer = await client.get(f"/v1/events/{ulid}")

    assert answer.headers["cache-control"] == "private, max-age=5"


async def test_runs_are_listed_with_their_status(
    server: InngestServer, clock: ManualClock, client: httpx.AsyncClient
) -> None:
    server.functions.append(Function(name="second", on="*", fails=True, seconds=1.0))
    ulid = await send(client, id="x", ts=int((clock.time() + 5) * 1000))
    seen = []
    for seconds in (0.0, 5.0, 1.0):
        clock.advance(seconds)
        first = (await client.get(f"/v1/events/{ulid}/runs?{seconds}")).json()["data"]
        second = (await client.get(f"/api/v2/events/{ulid}/runs")).json()["data"]
        seen.append([sorted(run["status"] for run in runs) for runs in (first, second)])

    assert seen == [
        [["Scheduled", "Scheduled"], ["QUEUED", "QUEUED"]],
        [["Completed", "Running"], ["COMPLETED", "RUNNING"]],
        [["Completed", "Failed"], ["COMPLETED", "FAILED"]],
    ]


async def test_a_copy_has_no_runs_of_its_own(client: httpx.AsyncClient) -> None:
    first, copy = await send(client, id="x"), await send(client, id="x")

    assert len((await client.get(f"/v1/events/{first}/runs")).json()["data"]) == 1
    assert (await client.get(f"/v1/events/{copy}/runs")).json()["data"] == []


async def test_a_full_batch_runs_at_once_and_the_next_event_opens_another(
    server: InngestServer, clock: ManualClock, client: httpx.AsyncClient
) -> None:
    server.functions[:] = [Function(name="many", on="a/b", batched=True, size=2, wait=2.0)]
    sent = [await send(client) for _ in range(3)]
    full = {run.internal_id: run.run_id for run in server.runs}
    clock.advance(2.0)
    last = {run.internal_id: run.run_id for run in server.runs}

    assert full.keys() == set(sent[:2])
    assert len(set(full.values())) == 1
    assert last.keys() == set(sent)
    assert len(set(last.values())) == 2


async def test_all_runs_are_listed_in_pages(client: httpx.AsyncClient, clock: ManualClock) -> None:
    sent = []
    for _ in range(3):
        sent.append(await send(client))
        clock.advance(1.0)
    seen, cursor = [], ""
    for _ in range(3):
        answer = (await client.get("/api/v2/runs", params={"limit": 1, "cursor": cursor})).json()
        seen += [run["trigger"]["eventIds"][0] for run in answer["data"]]
        cursor = answer["page"].get("cursor", "")

    assert (seen, cursor) == (sent[::-1], "")


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


async def test_the_list_is_filtered_by_name_and_time_of_receipt(
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


async def test_an_offset_is_not_converted(client: httpx.AsyncClient, clock: ManualClock) -> None:
    ulid = await send(client)
    at = datetime.fromtimestamp(clock.time(), UTC)

    async def listed(after: str) -> list[str]:
        answer = await client.get("/v1/events", params={"received_after": after})
        return [event["internal_id"] for event in answer.json()["data"]]

    assert await listed(at.strftime("%Y-%m-%dT%H:%M:%S-05:00")) == [ulid]
    assert await listed(at.strftime("%Y-%m-%d")) == [ulid]
    assert await listed(at.strftime("%Y-%m-%dT%H:%M:%S.1+00:00")) == []


async def test_only_the_last_hour_is_listed_unless_a_time_is_given(
    client: httpx.AsyncClient, clock: ManualClock
) -> None:
    ulid = await send(client)
    seen = []
    for seconds in (3600.0, 1.0):
        clock.advance(seconds)
        seen.append(len((await client.get("/v1/events")).json()["data"]))
    wide = (await client.get("/v1/events?received_after=2020-01-01")).json()["data"]
    before = (await client.get("/v1/events?received_before=2099-01-01")).json()["data"]

    assert (seen, before) == ([1, 0], [])
    assert [event["internal_id"] for event in wide] == [ulid]
    assert "data" in (await client.get(f"/v1/events/{ulid}")).json()


async def test_sessions_reach_functions_and_are_never_read_back(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    sessions = {"conv": "c1", "n": 7, "gone": None}
    meta = {"sessions": sessions, "propagated_sessions": {"p": "x", "gone": "y"}, "other": 1}
    ulid = await send(client, meta=meta)

    assert [run.meta for run in server.runs] == [{"sessions": {"conv": "c1", "n": "7", "p": "x"}}]
    assert "meta" not in (await client.get(f"/v1/events/{ulid}")).json()["data"]


async def test_inherited_sessions_fill_the_room_that_is_left(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    own, inherited = dict.fromkeys("abc", "1"), dict.fromkeys("zyxa", "2")
    await send(client, meta={"sessions": own, "propagated_sessions": inherited})

    assert server.runs[0].meta == {"sessions": own | {"x": "2", "y": "2"}}


async def test_a_fault_can_empty_the_body_of_a_read(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    ulid = await send(client)
    server.script.add(Rule(fault=Fault(status=200, body=""), path="/v1/"))
    answer = await client.get(f"/v1/events/{ulid}/runs")

    assert (answer.status_code, answer.content) == (200, b"")
    assert "x-inngest-server-kind" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/events/", "/v1/runs", "/v1/events/a/b/c", "/v0/x", "/v1"])
async def test_other_paths_below_v1_are_not_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    assert (answer.status_code, answer.text) == (404, "404 page not found\n")


@pytest.mark.parametrize("path", ["/v1/events", "/health", "/dev"])
async def test_another_method_is_not_allowed(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.delete(path)

    assert (answer.status_code, answer.content) == (405, b"")
