"""One gateway run: requests with disruptions drawn by the seed, recovery, and reconciliation."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from relay.local.sqs.faults import Fault
from tests.chaos import disruptions
from tests.chaos.accelerated_clock import AcceleratedClock
from tests.chaos.environment import Disruption
from tests.chaos.findings import Findings
from tests.chaos.gateway.environment import GatewayEnvironment, gateway_environment
from tests.chaos.gateway.requests import EventRequest, draw_requests
from tests.chaos.processes import ForkServer
from tests.chaos.proxy import Damage, Phase, no_interception
from tests.chaos.run import LENGTH, Result, Watch, conclude
from tests.chaos.wire_disruptions import WIRE, other_json, proxied, slow

REQUESTS = 40

GatewayDisruption: TypeAlias = Callable[[GatewayEnvironment, random.Random], Awaitable[None]]


def _in_environment(disruption: Disruption) -> GatewayDisruption:
    async def run(world: GatewayEnvironment, chance: random.Random) -> None:
        await disruption(world.env, chance)

    return run


def _sending(**fault: object) -> GatewayDisruption:
    """A fault for some of the next messages that are sent to the main queue."""

    async def disruption(world: GatewayEnvironment, chance: random.Random) -> None:
        world.env.sqs.faults.add(
            Fault(
                action="SendMessageBatch",
                queue="main",
                times=chance.randint(1, 6),
                skip=chance.randint(0, 2),
                **fault,  # type: ignore[arg-type] # a table of keywords
            )
        )

    return disruption


async def _killed(world: GatewayEnvironment, chance: random.Random) -> None:
    await world.gateway.kill_if_running()
    await world.env.clock.sleep(chance.uniform(0, 15))
    await world.gateway.start()


async def _replaced(world: GatewayEnvironment, chance: random.Random) -> None:
    if world.gateway.running:
        await world.gateway.terminate()
    await world.env.clock.sleep(chance.uniform(0, 5))
    await world.gateway.start()


async def _frozen(world: GatewayEnvironment, chance: random.Random) -> None:
    """Sometimes for longer than the gateway's own timeout."""
    world.gateway.send(signal.SIGSTOP)
    await world.env.clock.sleep(chance.uniform(1, 80))
    world.gateway.send(signal.SIGCONT)


async def _store_unavailable(world: GatewayEnvironment, chance: random.Random) -> None:
    world.env.store.available = False
    await world.env.clock.sleep(chance.uniform(5, 40))
    world.env.store.available = True


PROCESS: Mapping[str, GatewayDisruption] = {
    "the gateway is killed": _killed,
    "the gateway is replaced": _replaced,
    "the gateway is frozen": _frozen,
}
"""One at a time."""

RELAY: Mapping[str, GatewayDisruption] = {
    name: _in_environment(found[name])
    for found, name in (
        (disruptions.PROCESS, "SIGKILL"),
        (disruptions.ORCHESTRATOR, "the orchestrator is down"),
        (disruptions.ORCHESTRATOR, "reset after accepting"),
        (WIRE, "resets after SQS"),
        (disruptions.STANDARD, "duplicates"),
    )
}
"""Behind the queue."""

CONCURRENT: Mapping[str, GatewayDisruption] = {
    "SQS throttles": _sending(error="RequestThrottled"),
    "SQS is unavailable": _sending(error="ServiceUnavailable"),
    "SQS takes a part": _sending(entries={0: "InternalError", 2: "ServiceUnavailable"}),
    "SQS takes nothing of a batch": _sending(entries=dict.fromkeys(range(10), "InternalError")),
    "SQS's answer is lost": _sending(drop=True),
    "SQS refuses connections": _sending(refuse=True),
    "SQS is slow": _sending(delay=15.0),
    "SQS answers too late": _sending(delay=60.0),
    "S3 is unavailable": _store_unavailable,
    **{
        name: _in_environment(disruption)
        for name, disruption in {
            "resets before the gateway": proxied("gateway", Phase.REQUEST, Damage.RESET),
            "resets after the gateway": proxied("gateway", Phase.RESPONSE, Damage.RESET),
            "cuts after the gateway": proxied("gateway", Phase.RESPONSE, Damage.CUT),
            "resets before the queue": proxied("gateway SQS", Phase.REQUEST, Damage.RESET),
            "resets after the queue": proxied("gateway SQS", Phase.RESPONSE, Damage.RESET),
            "cuts after the queue": proxied("gateway SQS", Phase.RESPONSE, Damage.CUT),
            "a slow connection to the queue": slow("gateway SQS"),
            "the queue answers with other JSON": other_json("gateway SQS"),
            "resets after S3": proxied("gateway S3", Phase.RESPONSE, Damage.RESET),
        }.items()
    },
}


def draw(chance: random.Random) -> list[list[tuple[float, str]]]:
    """The disruptions of a run with their start times; each lane runs one at a time."""
    lanes = [[(chance.uniform(0, LENGTH), name)] for name in chance.sample(sorted(CONCURRENT), k=5)]
    lanes.append([(chance.uniform(0, LENGTH), chance.choice(sorted(RELAY)))])
    times = sorted(chance.uniform(1, LENGTH) for _ in range(2))
    lanes.append([(at, chance.choice(sorted(PROCESS))) for at in times])
    return lanes


async def run_gateway(
    seed: int,
    fork_server: ForkServer,
    clock: AcceleratedClock,
    directory: Path,
    *,
    requests: int = REQUESTS,
    mutant: str | None = None,
) -> Result:
    """Run the seed's disruptions with the seed's requests, and reconcile."""
    start = time.monotonic()
    chance = random.Random(f"gateway {seed}")
    bucket = seed % 2 == 0
    lanes = draw(chance)
    async with gateway_environment(
        *(fork_server, clock, directory), bucket=bucket, mutant=mutant
    ) as world:
        watch = Watch()
        watching = asyncio.create_task(watch.run())
        async with asyncio.TaskGroup() as tasks:
            for request in draw_requests(chance, requests, large=bucket):
                tasks.create_task(_send(world, request, random.Random(chance.random())))
            for lane in lanes:
                tasks.create_task(_disrupt(world, lane, random.Random(chance.random())))
        findings = await conclude_gateway(world)
        watching.cancel()
        log = world.gateway.log() + "\n" + world.env.relay.log(10)
    names = [name for lane in lanes for _, name in lane]
    seconds = time.monotonic() - start
    return Result("pull", seed, names, findings, seconds, log, watch.longest)


async def _send(world: GatewayEnvironment, request: EventRequest, chance: random.Random) -> None:
    """Send at a random time, and sometimes once more although it was accepted."""
    await world.env.clock.sleep(chance.uniform(0, LENGTH))
    if await world.producer.send(request, chance) and chance.random() < 0.1:
        await world.producer.send(request, chance)


async def _disrupt(
    world: GatewayEnvironment, lane: list[tuple[float, str]], chance: random.Random
) -> None:
    start = world.env.clock.time()
    available = {**PROCESS, **RELAY, **CONCURRENT}
    for at, name in lane:
        await world.env.clock.sleep(at - (world.env.clock.time() - start))
        await available[name](world, chance)


async def conclude_gateway(world: GatewayEnvironment) -> Findings:
    """End all disruptions, wait until the queue is empty, and compare with the producer's record.

    Every event that was answered 200 must have run. One without such an answer may have run, once;
    one of a refused request must not.
    """
    env, answers = world.env, world.producer.answers
    for proxy in env.proxies.values():
        proxy.intercept = no_interception
    world.gateway.send(signal.SIGCONT)
    if world.gateway.running:
        await world.gateway.terminate()
    # What it has sent before its end is in the queue now.
    record = env.publisher.record
    record.runs.update(answers.confirmed)
    findings = await conclude(env)
    accepted = {event.id for event in env.inngest.events}
    allowed = answers.unknown - answers.refused
    unexplained = [
        sentence
        for sentence in findings.unexplained
        if sentence.partition(" was accepted and never published")[0] not in allowed & accepted
    ]
    return replace(findings, unexplained=(*unexplained, *answers.complaints))
