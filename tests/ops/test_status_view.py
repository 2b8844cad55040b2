"""The screen of `relay status` on the terminal that people have."""

from __future__ import annotations

import io

import httpx
import pytest
from rich.console import Console

from relay.ops.status import COUNTERS, QueueStatus, RelayStatus, StatusReport, fetch_relay_status
from relay.ops.status_view import render_status

URL = "http://10.0.1.17:8000"
BUSY = StatusReport(
    at=0.0,
    queues=(QueueStatus(name="orders-events", visible=12_345, in_flight=500, delayed=0, oldest=9),),
    relays=(RelayStatus(url=URL, circuit="half-open", in_flight=500),),
)


@pytest.mark.parametrize("rate", [None, 1_234.5])
def test_eighty_columns_are_enough_for_every_word(rate: float | None) -> None:
    rates = {} if rate is None else {URL: dict.fromkeys(COUNTERS, rate)}
    page = io.StringIO()
    Console(width=80, file=page).print(render_status(BUSY, rates))
    text = page.getvalue()
    assert "…" not in text
    for words in (URL, "half-open", "in hand", "12,345", "dead lettered"):
        assert words in text
    assert (rate is None) or text.count("1,234.5") == len(COUNTERS)


async def test_a_relay_that_halted_by_its_own_guard_is_not_shown_as_closed() -> None:
    told = {"ready": False, "circuit": "closed", "halted": True, "reason": "most are rejected"}
    transport = httpx.MockTransport(lambda _: httpx.Response(503, json=told))
    async with httpx.AsyncClient(transport=transport) as client:
        assert (await fetch_relay_status(client, URL)).circuit == "halted"
