"""Asking relays whether they have noticed a pause."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from starlette.applications import Starlette

from relay.http.server import health_routes, serving
from relay.ops.pausing import ask_relays


async def test_relays_are_asked_until_all_have_noticed() -> None:
    paused, slept = False, list[float]()

    def ready() -> tuple[bool, Mapping[str, Any]]:
        return True, {"circuit": "closed", "paused": paused}

    async def sleep(seconds: float) -> None:
        nonlocal paused
        slept.append(seconds)
        paused = len(slept) == 3

    async with (
        serving(Starlette(routes=health_routes(ready))) as port,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        url = f"http://127.0.0.1:{port}"
        (found,) = await ask_relays(client, [url], paused=True, within=45.0, sleep=sleep)
        assert (found.paused, len(slept)) == (True, 3)
        (late,) = await ask_relays(client, [url], paused=False, within=2.0, sleep=sleep)
    assert late.paused is not None


async def test_a_relay_that_says_nothing_of_pauses_does_not_confirm() -> None:
    async def sleep(_seconds: float) -> None:
        return

    app = Starlette(routes=health_routes(lambda: (True, {"circuit": "closed"})))
    async with serving(app) as port, httpx.AsyncClient(trust_env=False) as client:
        url = f"http://127.0.0.1:{port}"
        (found,) = await ask_relays(client, [url], paused=True, within=2.0, sleep=sleep)
    assert found.paused is None
