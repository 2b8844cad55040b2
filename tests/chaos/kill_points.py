"""Kill points: the relay is killed before and after every external effect of a message.

A run without a kill records the requests to and from the relay, one of each kind. Each kind adds
two points: the request was sent and not carried out, and it was carried out and its response never
arrived. In further runs the relay is killed at one of these points and restarted.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relay.local.demo.samples import SampleMessage
from tests.chaos.accelerated_clock import AcceleratedClock
from tests.chaos.environment import DAEMON, LAMBDA, Environment, Mode, environment
from tests.chaos.findings import Findings
from tests.chaos.processes import ForkServer
from tests.chaos.proxy import Damage, Exchange, Interceptor, Phase
from tests.chaos.run import LEDGER, conclude
from tests.chaos.traffic import partly_poison, valid_message

SIZES = (1, 10)
SPEED = 8.0
"""Slower than the runs by seed, in which the ledger's timeout of one second passes at once."""


@dataclass(frozen=True)
class Point:
    """Where the relay is killed: before or after the first exchange of this kind.

    `starting` is for a kind that occurs only at the relay's start, before the first message.
    """

    label: str
    phase: Phase
    starting: bool = False

    def __str__(self) -> str:
        return f"{self.phase.value} {self.label}"


@dataclass(frozen=True)
class KillResult:
    """The result of a kill. `reached` is False if the exchange did not happen this time."""

    mode: Mode
    size: int
    point: Point
    reached: bool
    findings: Findings
    log: str


def messages(size: int) -> list[SampleMessage]:
    """Valid messages, and every third with one event that must be dead-lettered."""
    return [partly_poison(n) if n % 3 == 0 else valid_message(n) for n in range(size)]


async def enumerate_points(
    mode: Mode,
    size: int,
    fork_server: ForkServer,
    clock: AcceleratedClock,
    directory: Path,
    *,
    ledger: bool = True,
) -> list[Point]:
    """Every kill point of this many messages, from a recorded run."""
    seen: dict[str, bool] = {}
    starting = True

    async def intercept(exchange: Exchange, _phase: Phase) -> Damage | None:
        seen[exchange.label] = starting and seen.get(exchange.label, True)
        return None

    async with environment(
        mode, fork_server, clock, directory, **_quick(mode, ledger=ledger)
    ) as env:
        await _start(env, intercept, ledger=ledger)
        starting = False
        await env.publish(*messages(size))
        await env.settled()
        findings = await conclude(env)
    assert findings.clean, list(findings.violations())
    return [Point(label, phase, early) for label, early in seen.items() for phase in Phase]


async def kill_at(
    mode: Mode,
    size: int,
    point: Point,
    fork_server: ForkServer,
    clock: AcceleratedClock,
    directory: Path,
    *,
    ledger: bool = True,
) -> KillResult:
    """Publish, kill the relay at the point, restart it and reconcile."""
    reached = asyncio.Event()
    armed = point.starting
    async with environment(
        mode, fork_server, clock, directory, **_quick(mode, ledger=ledger)
    ) as env:

        async def intercept(exchange: Exchange, phase: Phase) -> Damage | None:
            here = (exchange.label, phase) == (point.label, point.phase)
            if not armed or reached.is_set() or not here:
                return None
            reached.set()
            await env.relay.kill_if_running()
            return Damage.RESET

        stuck = ""
        try:
            await _start(env, intercept, reached, ledger=ledger)
            armed = True
            await env.publish(*messages(size))
            await env.until(lambda: reached.is_set() or not env.main.messages(), within=1_000)
            await env.until(lambda: not (reached.is_set() and env.relay.running), within=1_000)
        except TimeoutError:
            stuck = f"stuck before the kill, {env.state()}\n"
        findings = await conclude(env)
        log = stuck + env.relay.log()
    return KillResult(mode, size, point, reached.is_set(), findings, log)


def _quick(mode: Mode, *, ledger: bool) -> dict[str, Any]:
    """Settings with which the messages of a killed relay come back within a second or two."""
    return {
        "settings": LEDGER if ledger else {},
        "options": replace(DAEMON, error_visibility_timeout=4),
        "visibility": None if mode in LAMBDA else 15,
        "start": False,
    }


async def _start(
    env: Environment,
    intercept: Interceptor,
    killed: asyncio.Event | None = None,
    *,
    ledger: bool = True,
) -> None:
    """Start the relay and send events until its ledger was used: opening the ledger takes long."""
    for proxy in env.proxies.values():
        proxy.intercept = intercept
    await env.relay.start()
    await env.start_daemon()
    was_killed = killed or asyncio.Event()
    for number in range(100, 120):
        if not ledger or env.ledger.items or was_killed.is_set():
            return
        await env.publish(valid_message(number))
        await env.until(
            lambda: env.ledger.items or was_killed.is_set() or not env.main.messages(), within=1_000
        )
    raise AssertionError("nothing was written to the ledger")
