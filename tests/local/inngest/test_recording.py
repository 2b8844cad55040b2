"""Asks the embedded server what a real one was asked, and a real one where there is one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import pytest

from relay.local.clock import ManualClock, SystemClock
from relay.local.inngest import Function, InngestServer, Lags
from tests.local.inngest import function_app
from tests.local.inngest.recording import EVENT_KEY, SIGNING_KEY, Kind, exchanges
from tests.local.inngest.replay import Replay


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that adds no header of its own to a request, and keeps no connection."""
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(
        base_url=url, trust_env=False, verify=False, limits=limits, timeout=180
    ) as client:
        client.headers.clear()
        yield client


PAGE = "the recorded build has no UI: a release answers with the UI's page, and so does this server"
APP = "apps do not register here, functions are arguments, and nothing in the relay calls them"
METRICS = "the server's own metrics, which nothing in the relay reads"
DIFFERENT = {
    **dict.fromkeys((4, 5, 7, 138, 139, 146, 301, 326), PAGE),
    **dict.fromkeys((13, 14, 15, 308, 309, 310), APP),
    **dict.fromkeys((12, 307), METRICS),
    339: "a race: of 5,001 events the real server tells 4,999 or 5,000, this one always 4,999",
}
"""Where the embedded server differs, by the line of the recording, and why."""
OPTIONS = 3
"""The line with the version and the options of the server, which may be others."""

RECORDED = datetime(2026, 11, 30, 10, 58, tzinfo=UTC).timestamp()
FUNCTIONS = [
    Function(
        name=one.name,
        on=one.on,
        app=one.app,
        output=one.output,
        fails=one.fails,
        seconds=one.seconds,
        batched=one.batched,
        size=10 if one.batched else 1,
        wait=2.0,
    )
    for one in function_app.FUNCTIONS
]
"""The same functions, as the embedded server has them."""


class Passing(ManualClock):
    """A clock on which a sleep is an advance."""

    async def sleep(self, seconds: float) -> None:
        self.advance(max(0.0, seconds))


async def replay(kind: Kind) -> dict[int, list[str]]:
    clock = Passing(RECORDED)
    async with (
        InngestServer(
            clock=clock,
            mode=kind,
            event_keys=[EVENT_KEY] if kind == "start" else (),
            signing_key=SIGNING_KEY if kind == "start" else "",
            persistence="none" if kind == "dev" else "memory",
            lags=Lags(insert=0.1, schedule=0.05),
        ) as server,
        connected(server.url) as client,
    ):

        async def register() -> None:
            server.functions.extend(FUNCTIONS)

        return await Replay(kind, client, clock, register).differences()


def shown(found: dict[int, list[str]]) -> str:
    return "\n".join(f"line {number}: {'; '.join(what)}" for number, what in found.items())


@pytest.mark.parametrize("kind", ["dev", "start"])
async def test_the_embedded_server_answers_as_the_real_one_did(kind: Kind) -> None:
    found = await replay(kind)
    unknown = {number: what for number, what in found.items() if number not in DIFFERENT}
    assert not unknown, shown(unknown)
    lines = {exchange.number for exchange in exchanges(kind)}
    assert found.keys() == DIFFERENT.keys() & lines, "no longer different: take it off the list"


def chosen(kind: Kind) -> str:
    """The URL of a real server of this kind, if one was named that can be compared."""
    variable = f"INNGEST_{kind.upper()}_URL"
    if variable not in os.environ:
        pytest.skip(f"set {variable} to a real and fresh Inngest server of the kind `{kind}`")
    keys = [
        os.environ.get("INNGEST_START_EVENT_KEY", EVENT_KEY),
        os.environ.get("INNGEST_START_SIGNING_KEY", SIGNING_KEY),
    ]
    if kind == "start" and keys != [EVENT_KEY, SIGNING_KEY]:
        pytest.skip(f"the server needs the keys of the recording, {EVENT_KEY} and {SIGNING_KEY}")
    return os.environ[variable]


async def is_fresh(client: httpx.AsyncClient, kind: Kind) -> bool:
    headers = {"authorization": f"Bearer {SIGNING_KEY}"} if kind == "start" else {}
    query = {"name": "rec/one", "received_after": "2020-01-01"}
    answer = await client.get("/v1/events", params=query, headers=headers)
    return not answer.json()["data"]


@pytest.mark.inngest_dev
@pytest.mark.parametrize("kind", ["dev", "start"])
async def test_a_real_server_answers_as_it_did(kind: Kind) -> None:
    signing_key = SIGNING_KEY if kind == "start" else None
    async with connected(chosen(kind)) as client, function_app.served() as url:
        if not await is_fresh(client, kind):
            pytest.skip("the recording was replayed to this server before: start it afresh")

        async def register() -> None:
            await function_app.register(client, url, signing_key)

        found = await Replay(kind, client, SystemClock(), register, exact=False).differences()
    build = {number for number, why in DIFFERENT.items() if why == PAGE} | {OPTIONS}
    found = {number: what for number, what in found.items() if number not in build}
    assert not found, shown(found)
