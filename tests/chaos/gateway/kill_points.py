"""Kills of the gateway before and after every external effect of a request."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.accelerated_clock import AcceleratedClock
from tests.chaos.findings import Findings
from tests.chaos.gateway.environment import GatewayEnvironment, gateway_environment
from tests.chaos.gateway.requests import EventRequest, draw_requests
from tests.chaos.gateway.run import conclude_gateway
from tests.chaos.kill_points import Point
from tests.chaos.processes import ForkServer
from tests.chaos.proxy import Damage, Exchange, Interceptor, Phase

PROXIES = ("gateway", "gateway SQS", "gateway S3")
REQUESTS = 6


@dataclass(frozen=True)
class GatewayKill:
    """The result of a kill. `reached` is False if the exchange did not happen."""

    point: Point
    reached: bool
    findings: Findings
    log: str


def requests() -> list[EventRequest]:
    """Some requests, one of which has an event that goes to S3."""
    chance = random.Random("kill points")
    while True:
        drawn = draw_requests(chance, REQUESTS, large=True)
        large = [one for one in drawn if len(one.body) > 1_000_000]
        if large and not any(one.invalid for one in drawn):
            return drawn


async def gateway_points(
    fork_server: ForkServer, clock: AcceleratedClock, directory: Path
) -> list[Point]:
    """Every kill point, from a recorded run."""
    seen: dict[str, None] = {}

    async def intercept(exchange: Exchange, _phase: Phase) -> Damage | None:
        seen[exchange.label] = None
        return None

    async with gateway_environment(fork_server, clock, directory, bucket=True) as world:
        _intercept(world, intercept)
        await _send_all(world)
        findings = await conclude_gateway(world)
    assert findings.clean, list(findings.violations())
    assert not world.producer.answers.unknown, world.producer.answers.codes
    return [Point(label, phase) for label in seen for phase in Phase]


async def kill_gateway_at(
    point: Point, fork_server: ForkServer, clock: AcceleratedClock, directory: Path
) -> GatewayKill:
    """Send, kill the gateway at the point, restart it, and reconcile."""
    reached = asyncio.Event()
    async with gateway_environment(fork_server, clock, directory, bucket=True) as world:

        async def intercept(exchange: Exchange, phase: Phase) -> Damage | None:
            if reached.is_set() or (exchange.label, phase) != (point.label, point.phase):
                return None
            reached.set()
            await world.gateway.kill_if_running()
            return Damage.RESET

        _intercept(world, intercept)
        restarting = asyncio.create_task(_restart(world, reached))
        await _send_all(world)
        restarting.cancel()
        findings = await conclude_gateway(world)
        return GatewayKill(point, reached.is_set(), findings, world.gateway.log())


def _intercept(world: GatewayEnvironment, intercept: Interceptor) -> None:
    for name in PROXIES:
        world.env.proxies[name].intercept = intercept


async def _send_all(world: GatewayEnvironment) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number, request in enumerate(requests()):
            tasks.create_task(world.producer.send(request, random.Random(number)))


async def _restart(world: GatewayEnvironment, killed: asyncio.Event) -> None:
    await killed.wait()
    await world.env.until(lambda: not world.gateway.running, within=1_000)
    await world.gateway.start()
