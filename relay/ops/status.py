"""The status of relays and queues: read `GET /ready` and `GET /metrics`, compute rates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from http import HTTPStatus
from typing import Any

import httpx

from relay.telemetry.metrics import (
    CIRCUIT_STATE,
    CIRCUIT_STATES,
    DEAD_LETTERED,
    DELIVERED,
    END_TO_END_AGE,
    HALTED,
    IN_FLIGHT,
    PAUSED,
    RECEIVED,
    REJECTED,
    RETRIED,
    STUCK,
)
from relay.telemetry.prometheus import prometheus_name

COUNTERS = {
    metric.name: prometheus_name(metric)
    for metric in (RECEIVED, DELIVERED, RETRIED, REJECTED, DEAD_LETTERED)
}
"""The counters shown, with their Prometheus names."""

WINDOW = 15.0
"""Seconds over which a rate is averaged. The rate between two reports would fluctuate too much."""

RELAY_TIMEOUT = 3.0
"""Seconds. A relay answers at once, even while it holds or is halted."""

_LINE = re.compile(r"^([a-z_]++)(?:\{[^}\n]*\})?[ \t]++(\S+)$", re.MULTILINE)
_AGE_BUCKET = re.compile(
    rf"^{prometheus_name(END_TO_END_AGE)}_bucket\{{([^}}\n]*)\}} (\S+)$", re.MULTILINE
)
_BOUND = re.compile(r'(?:^|,)le="([^",]*)"')
_CIRCUITS = {float(value): state for state, value in CIRCUIT_STATES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """A queue's approximate counts. `oldest_age` is in seconds, None without CloudWatch data.

    `pause` says that the queue is paused, by whom, since when and why. `retention` is in seconds.
    """

    name: str
    visible: int
    in_flight: int
    delayed: int
    oldest_age: float | None = None
    pause: str | None = None
    retention: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayStatus:
    """What one relay reports. `problem` is why it reports nothing; `counters` are since its start.

    `paused` is whether it takes no messages because an operator paused its queue, None if it does
    not say. `reason` is why it does not deliver, `setting` the one to check; `warnings` are what a
    person should do although it delivers. `seconds` is how long the circuit has been in its state.
    `ages` counts the events delivered since the relay's start with at most this end-to-end age, by
    age.
    """

    url: str
    problem: str | None = None
    ready: bool | None = None
    circuit: str | None = None
    paused: bool | None = None
    reason: str | None = None
    setting: str | None = None
    in_flight: int | None = None
    last_error: str | None = None
    warnings: tuple[str, ...] = ()
    counters: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    ages: Mapping[float, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """The status at one time, `at` in epoch seconds. `gaps` say what could not be read and why."""

    at: float
    queues: tuple[QueueStatus, ...] = ()
    relays: tuple[RelayStatus, ...] = ()
    gaps: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing at all could be read."""
        return not self.queues and all(relay.problem for relay in self.relays)

    def as_json(self, rates: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
        """The report as JSON, with the rates of each relay by its URL."""
        relays = [{**asdict(r), "rates": rates.get(r.url, {})} for r in self.relays]
        for relay in relays:
            del relay["ages"]  # the buckets of a metric; `GET /metrics` has them
        queues = [asdict(queue) for queue in self.queues]
        return {
            "type": "status",
            "at": self.at,
            "queues": queues,
            "relays": relays,
            "warnings": list(self.gaps),
        }


def rates(reports: Sequence[StatusReport]) -> dict[str, dict[str, float]]:
    """Events or messages per second, by relay and counter, over the last `WINDOW` seconds.

    A counter that decreased belongs to a restarted relay, and is taken to have started at 0.
    """
    last = reports[-1]
    first = next(report for report in reports if last.at - report.at <= WINDOW)
    seconds = last.at - first.at
    if seconds <= 0:
        return {}
    before = {relay.url: relay.counters for relay in first.relays}
    return {
        relay.url: {
            name: _increase(before[relay.url].get(name, 0.0), value) / seconds
            for name, value in relay.counters.items()
        }
        for relay in last.relays
        if relay.counters and before.get(relay.url)
    }


def _increase(old: float, new: float) -> float:
    return new - old if new >= old else new


async def fetch_relay_status(client: httpx.AsyncClient, url: str) -> RelayStatus:
    """Read the status of the relay at this URL. If it does not answer, `problem` says why."""
    ready = await _get(client, f"{url}/ready")
    metrics = await _get(client, f"{url}/metrics")
    counters = _counters(metrics)
    state = _relay_state(ready)
    if state is not None:
        in_flight = state.get("in_flight")
        return RelayStatus(
            url=url,
            ready=bool(state.get("ready")),
            circuit=_circuit(state),
            paused=_flag(state.get("paused")),
            reason=_text(state.get("reason")),
            setting=_text(state.get("setting")),
            in_flight=in_flight if isinstance(in_flight, int) else None,
            last_error=_text(state.get("last_error")),
            warnings=_texts(state.get("warnings")),
            counters={name: counters[key] for name, key in COUNTERS.items() if key in counters},
            seconds=_number(state.get("seconds")),
            ages=_ages(metrics),
        )
    if prometheus_name(IN_FLIGHT) in counters:
        return replace(_from_metrics(url, counters), ages=_ages(metrics))
    return RelayStatus(url=url, problem=_problem(ready))


def _circuit(state: Mapping[str, Any]) -> str | None:
    """The circuit, or what keeps messages from being delivered without changing it."""
    circuit = _text(state.get("circuit"))
    if state.get("halted") is True:
        return "halted"  # by the reject guard, among others
    return "stuck" if state.get("stuck") is True and circuit == "closed" else circuit


def _from_metrics(url: str, counters: Mapping[str, float]) -> RelayStatus:
    """The status of a relay that serves its metrics but not `/ready`."""
    circuit = _CIRCUITS.get(counters.get(prometheus_name(CIRCUIT_STATE), -1.0))
    shown = {
        "circuit": circuit,
        "halted": counters.get(prometheus_name(HALTED), 0.0) > 0,
        "stuck": counters.get(prometheus_name(STUCK), 0.0) > 0,
    }
    return RelayStatus(
        url=url,
        ready=circuit == "closed" and not shown["halted"] and not shown["stuck"],
        circuit=_circuit(shown),
        paused=_paused(counters),
        in_flight=int(counters[prometheus_name(IN_FLIGHT)]),
        counters={name: counters[key] for name, key in COUNTERS.items() if key in counters},
    )


def _paused(counters: Mapping[str, float]) -> bool | None:
    value = counters.get(prometheus_name(PAUSED))
    return None if value is None else value > 0


async def _get(client: httpx.AsyncClient, url: str) -> httpx.Response | str:
    try:
        return await client.get(url)
    except httpx.ConnectError:
        return "connection refused"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"no response: {type(error).__name__}"


def _relay_state(response: httpx.Response | str) -> dict[str, Any] | None:
    if isinstance(response, str):
        return None
    try:
        state = response.json()
    except ValueError:
        return None
    return state if isinstance(state, dict) and "circuit" in state else None


def _counters(response: httpx.Response | str) -> dict[str, float]:
    """The value of each metric, summed over its labels."""
    found: dict[str, float] = {}
    if isinstance(response, str) or response.status_code != HTTPStatus.OK:
        return found
    for name, value in _LINE.findall(response.text):
        try:
            found[name] = found.get(name, 0.0) + float(value)
        except ValueError:
            continue  # a comment, or the page of another program
    return found


def _ages(response: httpx.Response | str) -> dict[float, float]:
    """The cumulative buckets of the end-to-end age, summed over all other labels."""
    found: dict[float, float] = {}
    if isinstance(response, str) or response.status_code != HTTPStatus.OK:
        return found
    for labels, value in _AGE_BUCKET.findall(response.text):
        bound = _BOUND.search(labels)
        try:
            upper = float(bound[1] if bound else "")
            found[upper] = found.get(upper, 0.0) + float(value)
        except ValueError:
            continue
    return found


def _problem(response: httpx.Response | str) -> str:
    if isinstance(response, str):
        return response
    return f"status {response.status_code}, and the response is not from a relay"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()
