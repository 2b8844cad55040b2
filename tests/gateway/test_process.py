"""`relay gateway` as a process: its settings, its signals, and a kill in the middle of its work."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from relay.gateway.key_document import KeyDocument
from relay.gateway.key_store import KeyStore, new_key, read_key_store, write_key_store
from relay.local.processes import free_port
from relay.local.sqs import SqsServer
from relay.local.sqs.faults import Fault
from tests.gateway.running import KEY, embedded_sqs, until

EVENT = {"name": "shop/order.created", "data": {"n": 1}}
SEND = "SendMessageBatch"


def variables(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    given = {"RELAY_QUEUE_URL": "orders", "RELAY_GATEWAY_KEYS": f"web={KEY}", **settings}
    return {**kept, "RELAY_METRICS": "none", **given}


async def start(**settings: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay", "gateway"),
        env=variables(**settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


@asynccontextmanager
async def gateway_process(
    **settings: str,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    port = free_port()
    process = await start(PORT=str(port), **settings)
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=30.0) as http:
        try:
            await until_listening(http)
            yield process, http
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def until_listening(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30.0):
        while True:
            try:
                await http.get("/health")
            except httpx.TransportError:
                await asyncio.sleep(0.02)
            else:
                return


async def until_ready(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30.0):
        while (await http.get("/ready")).status_code != 200:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.02)


async def until_refused_because(http: httpx.AsyncClient, reason: str) -> None:
    async with asyncio.timeout(30.0):
        while reason not in (await http.get("/ready")).text:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.02)


def ids(server: SqsServer) -> list[str]:
    bodies = (json.loads(message.body) for message in server.queues["orders"].messages())
    return [event["id"] for body in bodies for event in (body if type(body) is list else [body])]


async def test_sigterm_finishes_what_was_accepted_and_exits_with_0() -> None:
    async with (
        embedded_sqs("orders") as (server, _),
        gateway_process() as (process, http),
    ):
        await until_ready(http)
        server.faults.add(Fault(action=SEND, delay=0.5, times=1))
        sending = asyncio.create_task(http.post(f"/e/{KEY}", json=EVENT))
        await until(lambda: server.requests[SEND])
        process.send_signal(signal.SIGTERM)
        answer = await sending
        assert answer.status_code == 200
        assert await process.wait() == 0
        assert ids(server) == answer.json()["ids"]


async def test_a_killed_gateway_answered_200_for_nothing_that_is_not_in_the_queue() -> None:
    answered: list[str] = []

    async def send(http: httpx.AsyncClient) -> None:
        while True:
            try:
                answer = await http.post(f"/e/{KEY}", json=[EVENT, EVENT])
            except httpx.TransportError:
                return
            if answer.status_code == 200:
                answered.extend(answer.json()["ids"])

    async with (
        embedded_sqs("orders") as (server, _),
        gateway_process() as (process, http),
    ):
        await until_ready(http)
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(send(http))
            await until(lambda: len(answered) > 400)
            process.kill()
        assert set(answered) <= set(ids(server))


async def test_until_the_queue_is_there_requests_are_503_and_readiness_says_why() -> None:
    async with (
        embedded_sqs() as (_, session),
        gateway_process() as (_, http),
    ):
        await until_refused_because(http, "no such resource")
        answer = await http.post(f"/e/{KEY}", json=EVENT)
        assert (answer.status_code, answer.json()["code"]) == (503, "not_open")
        assert "no such resource" in answer.json()["error"]
        assert (await http.get("/started")).status_code == 503
        client = await session.client("sqs")
        await client.create_queue(QueueName="orders")
        await until_ready(http)
        assert (await http.post(f"/e/{KEY}", json=EVENT)).status_code == 200


async def test_a_load_balancer_keeps_a_gateway_whose_last_request_to_sqs_failed() -> None:
    # Without requests it would stay unready for ever.
    async with (
        embedded_sqs("orders") as (server, _),
        gateway_process(RELAY_GATEWAY_TIMEOUT="0.3") as (_, http),
    ):
        await until_ready(http)
        server.faults.add(Fault(action=SEND, error="ServiceUnavailable", status=503, times=None))
        assert (await http.post(f"/e/{KEY}", json=EVENT)).status_code == 503
        assert (await http.get("/ready")).status_code == 503
        assert (await http.get("/started")).json() == {"started": True}


async def test_a_key_made_while_the_gateway_runs_is_accepted_at_once(tmp_path: Path) -> None:
    store = str(tmp_path / "keys.json")
    async with (
        embedded_sqs("orders"),
        gateway_process(RELAY_GATEWAY_KEY_STORE=store, RELAY_GATEWAY_KEYS="") as (_, http),
    ):
        add_key("first", store)
        await until_ready(http)
        for name in ("second", "third"):
            key = add_key(name, store)
            assert (await http.post(f"/e/{key}", json=EVENT)).status_code == 200


def add_key(name: str, store: str) -> str:
    document = KeyDocument(store)
    with document.locked():
        keys = read_key_store(document.read()) if Path(store).exists() else KeyStore()
        text, key = new_key(name)
        document.write(write_key_store(keys.with_new(key)))
    return text


async def test_keys_appear_in_no_log_line_whatever_is_sent() -> None:
    async with (
        embedded_sqs("orders"),
        gateway_process(RELAY_LOG_LEVEL="debug") as (process, http),
    ):
        await until_ready(http)
        await http.post(f"/e/{KEY}", json={"name": KEY, "id": 7})
        await http.post("/e/an-unknown-key-4711", json=EVENT)
        process.terminate()
        output, _ = await process.communicate()
        assert b"listening" in output
        assert KEY.encode() not in output
        assert b"4711" not in output


async def test_without_a_queue_or_keys_it_exits_with_2_and_says_what_to_set() -> None:
    process = await start(RELAY_QUEUE_URL="", RELAY_GATEWAY_KEYS="")
    output, _ = await process.communicate()
    assert process.returncode == 2
    assert b"RELAY_QUEUE_URL is not set" in output
    assert b"nobody may send: set RELAY_GATEWAY_KEYS" in output


async def test_keys_that_are_none_are_a_mistake_that_does_not_show_them() -> None:
    for keys in ("no-name-4711", "a=x/4711", "a=4711,a=b", "a=4711,b=4711", "a="):
        process = await start(RELAY_GATEWAY_KEYS=keys)
        output, _ = await process.communicate()
        assert process.returncode == 2
        assert b"RELAY_GATEWAY_KEYS must be names with their event keys" in output
        assert b"4711" not in output
