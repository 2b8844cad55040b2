"""Asks the embedded server what a real one was asked, and a real one where there is one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from relay.local.clock import ManualClock, SystemClock
from relay.local.inngest import Function, InngestServer, Lags
from tests.local.inngest import function_app
from tests.local.inngest.recording import EVENT_KEY, SIGNING_KEY, Kind
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


class Passing(ManualClock):
    """A clock on which a sleep is an advance."""

    async def sleep(self, seconds: float) -> None:
        self.advance(max(0.0, seconds))


async def replay(kind: Kind) -> dict[int, list[str]]:
    clock = Passing()
    async with (
        InngestServer(
            clock=clock,
            mode=kind,
            event_keys=[EVENT_KEY] if kind == "start" else (),
            signing_key=SIGNING_KEY if kind == "start" else "",
            lags=Lags(insert=0.1, schedule=0.05),
        ) as server,
        connected(server.url) as client,
    ):

        async def register() -> None:
            server.functions.append(Function(name="plain-rec-run", on="rec/run"))

        return await Replay(kind, client, clock, register).differences()


@pytest.mark.xfail(reason="the server is being mended")
@pytest.mark.parametrize("kind", ["dev", "start"])
async def test_the_embedded_server_answers_as_the_real_one_did(kind: Kind) -> None:
    found = await replay(kind)
    assert not found, "\n".join(f"{n} {'; '.join(what)}" for n, what in found.items())


@pytest.mark.inngest_dev
@pytest.mark.parametrize("kind", ["dev", "start"])
async def test_a_real_server_answers_as_it_did(kind: Kind) -> None:
    """It has to be fresh, and a `start` has the keys of the recording."""
    variable = f"INNGEST_{kind.upper()}_URL"
    if variable not in os.environ:
        pytest.skip(f"set {variable} to a real and fresh Inngest server of the kind `{kind}`")
    signing_key = SIGNING_KEY if kind == "start" else None
    async with connected(os.environ[variable]) as client, function_app.served() as url:

        async def register() -> None:
            await function_app.register(client, url, signing_key)

        found = await Replay(kind, client, SystemClock(), register, exact=False).differences()
    assert not found, "\n".join(f"{n} {'; '.join(what)}" for n, what in found.items())
