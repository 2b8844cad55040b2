"""Asking a relay: `GET /ready` for what it does, `GET /metrics` for how much it did."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Any

import httpx

from relay.telemetry.metrics import (
    CIRCUIT_STATE,
    CIRCUIT_STATES,
    DEAD_LETTERED,
    DELIVERED,
    HALTED,
    IN_FLIGHT,
    RECEIVED,
    REJECTED,
    RETRIED,
)
from relay.telemetry.prometheus import prometheus_name

COUNTERS = {
    metric.name: prometheus_name(metric)
    for metric in (
        RECEIVED,
        DELIVERED,
        RETRIED,
        REJECTED,
        DEAD_LETTERED,
    )
}
"""The counters that are shown, by their names in the text that Prometheus reads."""

WINDOW = 15.0
"""Seconds over which a rate is taken: between two looks it would only flicker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """A queue's approximate counts; `oldest` is in seconds, None where CloudWatch did not tell."""

    name: str
    visible: int
    in_flight: int
    delayed: int
    oldest: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayStatus:
    """One relay's own words. `problem` says why there are none; `counters` are since its start."""

    url: str
    problem: str | None = None
    ready: bool | None = None
    circuit: str | None = None
    reason: str | None = None
    setting: str | None = None
    in_flight: int | None = None
    last_error: str | None = None
    counters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """One look at everything, at a time in epoch seconds; `gaps` are sentences."""

    at: float
    queues: tuple[QueueStatus, ...] = ()
    relays: tuple[RelayStatus, ...] = ()
    gaps: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing could be looked at."""
        return not self.queues and all(relay.problem for relay in self.relays)

    def as_json(self, rates: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
        """The look for machines, with the rates of each relay by its URL."""
        relays = [{**asdict(r), "rates": rates.get(r.url, {})} for r in self.relays]
        queues = [asdict(queue) for queue in self.queues]
        return {"at": self.at, "queues": queues, "relays": relays, "gaps": list(self.gaps)}


def rates(samples: Sequence[StatusReport]) -> dict[str, dict[str, float]]:
    """Events or messages a second, by relay and counter, over the samples of the window.

    A counter that went back is of a relay that was started anew: its count begins at 0.
    """
    last = samples[-1]
    first = next(s for s in samples if last.at - s.at <= WINDOW)
    seconds = last.at - first.at
    if seconds <= 0:
        return {}
    before = {relay.url: relay.counters for relay in first.relays}
    return {
        relay.url: {
            name: _grown(before[relay.url].get(name, 0.0), value) / seconds
            for name, value in relay.counters.items()
        }
        for relay in last.relays
        if relay.counters and before.get(relay.url)
    }


def _grown(old: float, new: float) -> float:
    return new - old if new >= old else new


RELAY_TIMEOUT = 3.0
"""Seconds. A relay answers at once, also while it holds or is halted."""

_LINE = re.compile(r"^([a-z_]+)(?:\{[^}]*\})?\s+(\S+)$", re.MULTILINE)
_CIRCUITS = {float(value): state for state, value in CIRCUIT_STATES.items()}


async def fetch_relay_status(client: httpx.AsyncClient, url: str) -> RelayStatus:
    """What the relay at this address says of itself; never raises for its silence."""
    ready = await _get(client, f"{url}/ready")
    metrics = await _get(client, f"{url}/metrics")
    counters = _counters(metrics)
    told = _told(ready)
    if told is not None:
        return RelayStatus(
            url=url,
            ready=bool(told.get("ready")),
            # What halts by itself, such as the reject guard, leaves the circuit as it is.
            circuit="halted" if told.get("halted") is True else _text(told.get("circuit")),
            reason=_text(told.get("reason")),
            setting=_text(told.get("setting")),
            in_flight=told.get("in_flight") if isinstance(told.get("in_flight"), int) else None,
            last_error=_text(told.get("last_error")),
            counters={name: counters[key] for name, key in COUNTERS.items() if key in counters},
        )
    if prometheus_name(IN_FLIGHT) in counters:
        return _of_metrics(url, counters)
    return RelayStatus(url=url, problem=_silence(ready))


def _of_metrics(url: str, counters: Mapping[str, float]) -> RelayStatus:
    """`relay poll` says of itself what its metrics say."""
    circuit = _CIRCUITS.get(counters.get(prometheus_name(CIRCUIT_STATE), -1.0))
    halted = counters.get(prometheus_name(HALTED), 0.0) > 0
    return RelayStatus(
        url=url,
        ready=circuit == "closed" and not halted,
        circuit="halted" if halted else circuit,
        in_flight=int(counters[prometheus_name(IN_FLIGHT)]),
        counters={name: counters[key] for name, key in COUNTERS.items() if key in counters},
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
