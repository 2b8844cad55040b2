"""Asking a relay: `GET /ready` for what it does, `GET /metrics` for how much it did."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx

from relay.status.sample import RATED, RelaySample
from relay.telemetry import table
from relay.telemetry.sinks.prometheus import prometheus_name

PATIENCE = 3.0
"""Seconds. A relay answers at once, also while it holds or is halted."""

_LINE = re.compile(r"^([a-z_]+)(?:\{[^}]*\})?\s+(\S+)$", re.MULTILINE)
_CIRCUITS = {float(value): state for state, value in table.CIRCUIT_STATES.items()}


async def ask(client: httpx.AsyncClient, url: str) -> RelaySample:
    """What the relay at this address says of itself; never raises for its silence."""
    ready = await _get(client, f"{url}/ready")
    metrics = await _get(client, f"{url}/metrics")
    counters = _counters(metrics)
    told = _told(ready)
    if told is not None:
        return RelaySample(
            url=url,
            ready=bool(told.get("ready")),
            # What halts by itself, such as the reject guard, leaves the circuit as it is.
            circuit="halted" if told.get("halted") is True else _text(told.get("circuit")),
            reason=_text(told.get("reason")),
            setting=_text(told.get("setting")),
            in_hand=told.get("in_hand") if isinstance(told.get("in_hand"), int) else None,
            last_error=_text(told.get("last_error")),
            counters={name: counters[key] for name, key in RATED.items() if key in counters},
        )
    if prometheus_name(table.IN_HAND) in counters:
        return _of_metrics(url, counters)
    return RelaySample(url=url, problem=_silence(ready))


def _of_metrics(url: str, counters: Mapping[str, float]) -> RelaySample:
    """`relay poll` says of itself what its metrics say."""
    circuit = _CIRCUITS.get(counters.get(prometheus_name(table.CIRCUIT_STATE), -1.0))
    halted = counters.get(prometheus_name(table.HALTED), 0.0) > 0
    return RelaySample(
        url=url,
        ready=circuit == "closed" and not halted,
        circuit="halted" if halted else circuit,
        in_hand=int(counters[prometheus_name(table.IN_HAND)]),
        counters={name: counters[key] for name, key in RATED.items() if key in counters},
    )


async def _get(client: httpx.AsyncClient, url: str) -> httpx.Response | str:
    try:
        return await client.get(url)
    except httpx.ConnectError:
        return "nobody listens there"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"no answer: {type(error).__name__}"


def _told(answer: httpx.Response | str) -> dict[str, Any] | None:
    if isinstance(answer, str):
        return None
    try:
        told = answer.json()
    except ValueError:
        return None
    return told if isinstance(told, dict) and "circuit" in told else None


def _counters(answer: httpx.Response | str) -> dict[str, float]:
    """Each metric's value, those of its labels added up."""
    found: dict[str, float] = {}
    if isinstance(answer, str) or answer.status_code != HTTPStatus.OK:
        return found
    for name, value in _LINE.findall(answer.text):
        try:
            found[name] = found.get(name, 0.0) + float(value)
        except ValueError:
            continue  # a comment, or another program's page
    return found


def _silence(answer: httpx.Response | str) -> str:
    return answer if isinstance(answer, str) else f"{answer.status_code}, and no relay's answer"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
