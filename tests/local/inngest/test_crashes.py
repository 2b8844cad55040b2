from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest

from relay.local.clock import ManualClock
from relay.local.inngest import Function, InngestServer, Lags

LAGS = Lags(insert=1.0, schedule=1.0, run=1.0)
FUNCTIONS = [Function(name="index", on="a/b")]


async def send(server: InngestServer, *ids: str) -> None:
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        events = [{"id": event_id, "name": "a/b"} for event_id in ids]
        assert (await client.post(f"{server.url}/e/key", json=events)).status_code == 200


def ran(server: InngestServer) -> Sequence[str]:
    return [run.event_id for run in server.runs]


@pytest.fixture(params=["memory", "durable"])
async def either(
    clock: ManualClock, request: pytest.FixtureRequest
) -> AsyncIterator[InngestServer]:
    async with InngestServer(
        functions=FUNCTIONS, clock=clock, lags=LAGS, persistence=request.param
    ) as server:
        yield server


@pytest.fixture
async def slow(clock: ManualClock) -> AsyncIterator[InngestServer]:
    async with InngestServer(functions=FUNCTIONS, clock=clock, lags=LAGS) as server:
        yield server


@pytest.fixture
async def durable(clock: ManualClock) -> AsyncIterator[InngestServer]:
    async with InngestServer(
        functions=FUNCTIONS, clock=clock, lags=LAGS, persistence="durable"
    ) as server:
        yield server


async def test_the_steps_of_an_event_follow_one_another(
    slow: InngestServer, clock: ManualClock
) -> None:
    await send(slow, "x")
    seen = []
    for _ in range(4):
        seen.append((len(slow.events), len(slow.runs)))
        clock.advance(1.0)

    assert seen == [(0, 0), (1, 0), (1, 0), (1, 1)]


@pytest.mark.parametrize("end", ["kill", "terminate"])
async def test_an_event_that_is_only_acknowledged_is_lost_in_a_crash(
    either: InngestServer, clock: ManualClock, end: str
) -> None:
    await send(either, "x")
    await getattr(either, end)()
    await either.restart()
    clock.advance(60.0)

    assert either.acknowledged["x"] == 1
    assert (either.events, either.runs) == ([], [])


async def test_an_event_that_is_stored_and_not_scheduled_never_runs_after_a_crash(
    durable: InngestServer, clock: ManualClock
) -> None:
    await send(durable, "x")
    clock.advance(1.5)
    await durable.kill()
    await durable.restart()
    clock.advance(60.0)

    assert [event.id for event in durable.events] == ["x"]
    assert durable.runs == []


@pytest.mark.parametrize("end", ["kill", "terminate"])
async def test_a_stop_loses_a_run_that_waits_and_the_known_id(
    slow: InngestServer, clock: ManualClock, end: str
) -> None:
    await send(slow, "x")
    clock.advance(2.5)
    assert ran(slow) == []
    await getattr(slow, end)()
    await slow.restart()
    clock.advance(60.0)
    lost = ran(slow)
    await send(slow, "x")
    clock.advance(60.0)

    assert (lost, ran(slow)) == ([], ["x"])
    assert [event.id for event in slow.events] == ["x", "x"]


@pytest.mark.parametrize("end", ["kill", "terminate"])
async def test_a_stop_forgets_the_id_of_an_event_that_ran(
    slow: InngestServer, clock: ManualClock, end: str
) -> None:
    await send(slow, "x")
    clock.advance(3.0)
    before = ran(slow)
    await getattr(slow, end)()
    await slow.restart()
    await send(slow, "x")
    clock.advance(3.0)

    assert (before, ran(slow)) == (["x"], ["x", "x"])


@pytest.mark.parametrize(("end", "status"), [("kill", "Running"), ("terminate", "Completed")])
async def test_a_run_that_has_started_is_waited_for_by_a_clean_stop(
    clock: ManualClock, end: str, status: str
) -> None:
    functions = [Function(name="slow", on="a/b", seconds=4.0)]
    async with InngestServer(functions=functions, clock=clock) as server:
        await send(server, "x")
        clock.advance(1.0)
        assert [run.status for run in server.runs] == ["Running"]
        await getattr(server, end)()
        await server.restart()
        clock.advance(60.0)

        assert [(run.status, run.attempts) for run in server.runs] == [(status, 1)]


async def test_a_durable_queue_repeats_the_run_that_a_kill_interrupted(clock: ManualClock) -> None:
    functions = [Function(name="slow", on="a/b", seconds=4.0)]
    async with InngestServer(functions=functions, clock=clock, persistence="durable") as server:
        await send(server, "x")
        clock.advance(1.0)
        assert [run.status for run in server.runs] == ["Running"]
        await server.kill()
        await server.restart()
        clock.advance(4.0)

        assert [(run.status, run.attempts) for run in server.runs] == [("Completed", 2)]


async def test_a_server_with_its_data_in_memory_loses_it_at_a_stop(clock: ManualClock) -> None:
    async with InngestServer(functions=FUNCTIONS, clock=clock, persistence="none") as server:
        await send(server, "x")
        stored = len(server.events)
        await server.terminate()
        await server.restart()

        assert (stored, server.events, ran(server)) == (1, [], ["x"])


async def test_a_run_whose_queue_was_lost_stays_scheduled_for_ever(
    server: InngestServer, clock: ManualClock, client: httpx.AsyncClient
) -> None:
    ts = int((clock.time() + 6) * 1000)
    sent = (await client.post("/e/key", json={"name": "a/b", "ts": ts})).json()["ids"][0]
    await server.terminate()
    await server.restart()
    clock.advance(3600)

    [run] = (await client.get(f"/v1/events/{sent}/runs")).json()["data"]
    [same] = (await client.get(f"/api/v2/events/{sent}/runs")).json()["data"]
    assert (run["status"], same["status"], server.runs) == ("Scheduled", "QUEUED", [])


async def test_a_durable_queue_keeps_its_jobs_and_known_ids_after_a_kill(
    durable: InngestServer, clock: ManualClock
) -> None:
    await send(durable, "x")
    clock.advance(2.5)
    await durable.kill()
    await durable.restart()
    clock.advance(60.0)
    await send(durable, "x")
    clock.advance(60.0)

    assert [(run.event_id, run.attempts) for run in durable.runs] == [("x", 1)]


async def test_a_clean_stop_keeps_a_durable_queue(
    durable: InngestServer, clock: ManualClock
) -> None:
    await send(durable, "x")
    clock.advance(1.5)
    await durable.terminate()
    await durable.restart()
    await send(durable, "x")
    clock.advance(60.0)

    assert ran(durable) == ["x"]


async def test_events_within_the_boot_window_are_lost(clock: ManualClock) -> None:
    async with InngestServer(functions=FUNCTIONS, clock=clock, boot_window=0.5) as server:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, verify=False) as client:
            assert (await client.get("/health")).json() == {"status": 200, "message": "OK"}
        await send(server, "early")
        clock.advance(0.5)
        await send(server, "late")
        await server.kill()
        await server.restart()
        await send(server, "early again")

        assert server.acknowledged.total() == 3
        assert ran(server) == ["late"]


async def test_connections_are_refused_while_down_and_served_again_on_the_same_port(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    await send(server, "x")
    await server.down()
    with pytest.raises(httpx.ConnectError):
        await client.post("/e/key", json={"name": "a/b"})
    await server.up()
    answer = await client.post("/e/key", json={"id": "x", "name": "a/b"})

    assert (answer.status_code, ran(server)) == (200, ["x"])


async def test_steps_reach_the_file_without_a_request(clock: ManualClock, tmp_path: Path) -> None:
    path = tmp_path / "state"
    async with InngestServer(functions=FUNCTIONS, clock=clock, lags=LAGS, state=path) as server:
        await send(server, "x")
        while b"ran" not in path.read_bytes():
            clock.advance(0.5)
            await asyncio.sleep(0)

    kinds = [next(iter(json.loads(line))) for line in path.read_text().splitlines()]
    assert kinds == ["stored", "ran"]


async def test_a_line_cut_by_a_kill_is_ignored(clock: ManualClock, tmp_path: Path) -> None:
    path = tmp_path / "state"
    async with InngestServer(functions=FUNCTIONS, clock=clock, state=path) as server:
        await send(server, "x", "y")
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(whole[0] + whole[1][:-9])
    async with InngestServer(functions=FUNCTIONS, clock=clock, state=path) as server:
        assert [event.id for event in server.events] == [json.loads(whole[0])["stored"]["id"]]
        await send(server, "z")
    async with InngestServer(functions=FUNCTIONS, clock=clock, state=path) as server:
        assert "z" in {event.id for event in server.events}


async def test_settled_waits_for_pending_events() -> None:
    lags = Lags(insert=0.01, schedule=0.01, run=0.01)
    async with InngestServer(functions=FUNCTIONS, lags=lags) as server:
        await send(server, "x", "y")
        await server.settled()

        assert sorted(ran(server)) == ["x", "y"]
