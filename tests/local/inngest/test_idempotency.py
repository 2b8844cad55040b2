from __future__ import annotations

import base64
import random

import httpx
import pytest

from relay.local.clock import ManualClock
from relay.local.inngest import Function, InngestServer

DAY = 24 * 3600
SEED = "1743130137367,eii2YKXRVTJPuA=="


async def test_copies_run_once_per_function_and_are_all_stored(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    copies = [{"id": f"e{n}", "name": "a/b"} for n in range(200)] * 3
    random.Random(7).shuffle(copies)
    for start in range(0, 600, 60):
        await client.post("/e/key", json=copies[start : start + 60])

    assert len(server.events) == 600
    assert sorted(run.event_id for run in server.runs) == sorted(f"e{n}" for n in range(200))
    assert server.acknowledged["e7"] == 3


async def test_the_first_payload_wins(server: InngestServer, client: httpx.AsyncClient) -> None:
    for n in (1, 2):
        await client.post("/e/key", json={"id": "x", "name": "a/b", "data": {"n": n}})

    assert [run.payload for run in server.runs] == [{"n": 1}]


async def test_an_id_is_not_scoped_by_the_event_name(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    server.functions[:] = [Function(name="all", on="*"), Function(name="other", on="c/d")]
    for name in ("a/b", "c/d"):
        await client.post("/e/key", json={"id": "x", "name": name})

    assert [(run.function, run.event_name) for run in server.runs] == [
        ("all", "a/b"),
        ("other", "c/d"),
    ]


async def test_an_id_runs_again_a_day_after_it_was_first_seen(
    server: InngestServer, clock: ManualClock, client: httpx.AsyncClient
) -> None:
    runs = []
    for seconds in (0, DAY - 1, 1):
        clock.advance(seconds)
        await client.post("/e/key", json={"id": "x", "name": "a/b"})
        runs.append(len(server.runs))

    assert runs == [1, 1, 2]


async def test_a_batching_function_ignores_ids(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    server.functions[:] = [Function(name="many", on="a/b", batched=True)]
    for _ in range(2):
        await client.post("/e/key", json={"id": "x", "name": "a/b"})

    assert [run.event_id for run in server.runs] == ["x", "x"]


async def test_a_seed_makes_internal_ids_reproducible_by_position(
    server: InngestServer, client: httpx.AsyncClient
) -> None:
    server.functions[:] = [Function(name="many", on="a/b", batched=True)]
    body = [{"name": "a/b"}, {"name": "a/b"}]
    answers = [
        await client.post("/e/key", json=body, headers={"x-inngest-event-id-seed": SEED})
        for _ in range(2)
    ]

    first, second = answers[0].json()["ids"]
    assert answers[1].json()["ids"] == [first, second]
    assert first[:-2] == second[:-2]
    assert first != second
    assert (len(server.events), len(server.runs)) == (4, 2)


@pytest.mark.parametrize(
    "seed", ["", "0,eii2YKXRVTJPuA==", "x,eii2YKXRVTJPuA==", "1,AAAA", "1", "1,eii2YKXRVTJPuA==,2"]
)
async def test_a_malformed_seed_is_ignored(client: httpx.AsyncClient, seed: str) -> None:
    headers = {"x-inngest-event-id-seed": seed}
    ids = [
        (await client.post("/e/key", json={"name": "a/b"}, headers=headers)).json()["ids"]
        for _ in range(2)
    ]

    assert ids[0] != ids[1]


async def test_a_seed_that_overflows_wraps_around(client: httpx.AsyncClient) -> None:
    seed = f"1743130137367,{base64.b64encode(bytes(6) + bytes([255] * 4)).decode()}"
    answer = await client.post(
        "/e/key", json={"name": "a/b"}, headers={"x-inngest-event-id-seed": seed}
    )

    assert answer.json()["ids"][0].endswith("0" * 16)


async def test_an_event_with_a_future_time_runs_at_that_time(
    server: InngestServer, clock: ManualClock, client: httpx.AsyncClient
) -> None:
    ts = int((clock.time() + 60) * 1000)
    await client.post("/e/key", json={"name": "a/b", "ts": ts})
    clock.advance(59)
    before = len(server.runs)
    clock.advance(1)

    assert (before, len(server.runs)) == (0, 1)
    assert server.runs[0].at == ts / 1000
