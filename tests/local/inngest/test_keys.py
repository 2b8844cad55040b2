from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import httpx
import pytest

from relay.local.inngest import InngestServer

KEY = "the-event-key"
EVENT = {"name": "a/b"}


@pytest.fixture
async def started() -> AsyncIterator[InngestServer]:
    async with InngestServer(mode="start", event_keys=[KEY], signing_key="abcd") as server:
        yield server


@pytest.fixture
async def caller(started: InngestServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=started.url, trust_env=False, verify=False) as client:
        yield client


async def test_an_unknown_key_is_a_401_with_the_reason(
    started: InngestServer, caller: httpx.AsyncClient
) -> None:
    answer = await caller.post("/e/wrong", json=EVENT)

    assert answer.status_code == 401
    assert answer.json() == {"status": 401, "message": "", "error": "Event key not found"}
    assert started.events == []


async def test_a_known_key_is_accepted(started: InngestServer, caller: httpx.AsyncClient) -> None:
    assert (await caller.post(f"/e/{KEY}", json=EVENT)).status_code == 200
    assert len(started.events) == 1


async def test_a_start_server_without_keys_returns_503() -> None:
    async with (
        InngestServer(mode="start") as server,
        httpx.AsyncClient(trust_env=False, verify=False) as caller,
    ):
        answer = await caller.post(f"{server.url}/e/{KEY}", json=EVENT)

    assert answer.status_code == 503
    assert answer.json()["error"] == "Event keys are required to process events securely"


async def test_a_dev_server_accepts_any_key(client: httpx.AsyncClient) -> None:
    assert (await client.post("/e/anything", json=EVENT)).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer dcba"}])
async def test_reads_require_the_signing_key(
    caller: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    refused = await caller.get("/v1/events", headers=headers)
    passed = await caller.get("/v1/events", headers={"Authorization": "Bearer abcd"})

    assert (refused.status_code, passed.status_code) == (401, 200)


@pytest.mark.parametrize("path", ["/dev", "/v1/events/zzz", "/api/v2/health", "/v2/nothing"])
async def test_a_wrong_signing_key_is_told_before_anything_else(
    caller: httpx.AsyncClient, path: str
) -> None:
    answer = await caller.get(path)

    assert (answer.status_code, answer.text) == (401, "Authentication failed\n")


async def test_the_access_log_never_shows_the_key(
    started: InngestServer, caller: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "relay.local.inngest")
    await caller.post(f"/e/{KEY}", json=EVENT)
    await caller.post(f"/e/{KEY}/more", json=EVENT)
    await caller.post(f"/%65/{KEY}", json=EVENT)
    await caller.post(f"{started.url}//e/{KEY}", json=EVENT)

    ours = [record.getMessage() for record in caplog.records if record.name.startswith("relay.")]
    assert ours == ["POST /e/*** 200"] * 3 + ["POST //e/*** 200"]
    assert KEY not in repr(started.requests)
