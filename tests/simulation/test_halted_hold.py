"""A relay with bad settings holds requests; an immediate 503 would use up their receives."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from relay.app.serve import HoldEverything, halted_app
from relay.settings.model import Settings
from tests.forwarding.virtual_time import now, run


@pytest.mark.parametrize(("hold", "held_for"), [(0.0, 120.0), (600.0, 600.0)])
def test_a_halted_relay_holds_requests_for_two_minutes_at_the_least(
    hold: float, held_for: float
) -> None:
    async def main() -> None:
        settings = Settings(hold=hold, inngest_url="http://localhost:8288")
        app = halted_app(settings, ("RELAY_PORT is wrong",), HoldEverything()).asgi()
        assert await posted(app) == 503
        assert now() == pytest.approx(held_for)

    run(main)


async def posted(app: Any) -> int:
    statuses: list[int] = []
    requests = asyncio.Queue[dict[str, Any]]()
    requests.put_nowait({"type": "http.request", "body": b"{}", "more_body": False})

    async def send(message: dict[str, Any]) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    headers = [(b"x-aws-sqsd-msgid", b"m-1")]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    await app(scope, requests.get, send)
    return statuses[0]
