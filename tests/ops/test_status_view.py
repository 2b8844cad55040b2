"""The tables of `relay status`, and the rates in them."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping

import httpx
import pytest
from rich.console import Console

from relay.ops.status import (
    COUNTERS,
    QueueStatus,
    RelayStatus,
    StatusReport,
    fetch_relay_status,
    rates,
)
from relay.ops.status_view import render_status

URL = "http://10.0.1.17:8000"
BUSY = StatusReport(
    at=0.0,
    queues=(
        QueueStatus(name="orders-events", visible=12_345, in_flight=500, delayed=0, oldest_age=9),
    ),
    relays=(RelayStatus(url=URL, circuit="half-open", in_flight=500),),
)


def rendered(status: StatusReport, by_relay: Mapping[str, Mapping[str, float]]) -> str:
    console = Console(width=150, record=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115 - discarded
    with console.file:
        console.print(render_status(status, by_relay))
    return console.export_text()


@pytest.mark.parametrize("rate", [None, 1_234.5])
def test_the_tables_fit_eighty_columns(rate: float | None) -> None:
    by_relay = {} if rate is None else {URL: dict.fromkeys(COUNTERS, rate)}
    page = io.StringIO()
    Console(width=80, file=page).print(render_status(BUSY, by_relay))
    text = page.getvalue()
    assert "…" not in text
    for words in (URL, "half-open", "in flight", "12,345", "dead lettered"):
        assert words in text
    assert (rate is None) or text.count("1,234.5") == len(COUNTERS)


async def test_a_relay_halted_by_its_reject_guard_is_not_shown_as_closed() -> None:
    state = {"ready": False, "circuit": "closed", "halted": True, "reason": "most are rejected"}
    transport = httpx.MockTransport(lambda _: httpx.Response(503, json=state))
    async with httpx.AsyncClient(transport=transport) as client:
        assert (await fetch_relay_status(client, URL)).circuit == "halted"


def counted(at: float, **counters: float) -> StatusReport:
    return StatusReport(at=at, relays=(RelayStatus(url="r", counters=counters),))


def test_rates_are_averaged_over_the_window() -> None:
    reports = [counted(at, Delivered=at * 10) for at in (0.0, 5.0, 10.0, 18.0, 20.0)]
    reports[0] = counted(0.0, Delivered=-1_000_000)
    assert rates(reports) == {"r": {"Delivered": 10.0}}
    assert rates(reports[:1]) == {}


def test_a_restarted_relay_has_no_negative_rate() -> None:
    assert (
        rates([counted(0.0, Delivered=900), counted(10.0, Delivered=50)])["r"]["Delivered"] == 5.0
    )


def test_the_counters_are_shown_until_there_are_rates() -> None:
    status = StatusReport(
        at=0.0,
        queues=(
            QueueStatus(name="events", visible=12_345, in_flight=1, delayed=0, oldest_age=90.0),
        ),
        relays=(
            RelayStatus(url="r", circuit="closed", in_flight=3, counters={"Delivered": 1_000}),
        ),
    )
    counted, rated = rendered(status, {}), rendered(status, {"r": {"Delivered": 2.5}})
    assert "12,345" in counted
    assert "1.5 min" in counted
    assert "since start" in counted
    assert "1,000" in counted
    assert "per second" in rated
    assert "2.5" in rated
