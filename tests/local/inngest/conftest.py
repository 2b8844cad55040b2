from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from relay.local.clock import ManualClock
from relay.local.inngest import Function, InngestServer


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def server(clock: ManualClock) -> AsyncIterator[InngestServer]:
    async with InngestServer(functions=[Function(name="index", on="a/b")], clock=clock) as server:
        yield server


@pytest.fixture
async def client(server: InngestServer) -> AsyncIterator[httpx.AsyncClient]:
    # No TLS here, and loading the certificates takes longer than most of these tests.
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, verify=False) as client:
        yield client
