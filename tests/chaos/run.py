"""One chaos run: traffic with disruptions drawn by the seed, recovery, and reconciliation."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos import disruptions
from tests.chaos.accelerated_clock import AcceleratedClock
from tests.chaos.disruptions import Disruption
from tests.chaos.environment import Environment, Mode, environment
from tests.chaos.findings import Findings, reconcile
from tests.chaos.processes import ForkServer
from tests.chaos.proxy import no_interception
from tests.chaos.traffic import traffic

LENGTH = 60.0
"""Accelerated seconds during which the traffic is sent and the disruptions begin."""
MESSAGES = 90
STEPS = 6


@dataclass(frozen=True)
class Result:
    """The result of a run. `seconds` are real seconds, `log` is the end of the relay's output."""

    mode: Mode
    seed: int
    names: Sequence[str]
    findings: Findings
    seconds: float
    log: str


@dataclass(frozen=True)
class Plan:
    """The disruptions of a run with their start times in seconds; each lane runs one at a time."""

    lanes: Sequence[Sequence[tuple[float, str]]]

    @property
    def names(self) -> list[str]:
        return [name for lane in self.lanes for _, name in lane]


LEDGER = {"RELAY_LEDGER_TABLE": "ledger"}
"""Settings of every second run."""


def catalogue(mode: Mode) -> dict[str, Disruption]:
    """Every disruption that is possible in this mode."""
    found = {
        **disruptions.ORCHESTRATOR,
        **disruptions.CONFIRMED,
        **disruptions.SQS,
        **disruptions.WIRE,
    }
    found |= {**disruptions.PROCESS, **disruptions.LEDGER}
    if mode == "push":
        found |= disruptions.DAEMON
    return found if mode == "fifo" else {**found, **disruptions.STANDARD}


def plan(mode: Mode, chance: random.Random, *, ledger: bool) -> Plan:
    """Draw the disruptions and their start times."""
    found = catalogue(mode)
    outages = ["the orchestrator is down", *disruptions.CONFIRMED, "messages near expiry"]
    processes = [name for name in disruptions.PROCESS if name != "messages near expiry"]
    if mode == "push":
        processes.append("sqsd restarts")
    sequential = {*outages, *processes, *disruptions.LEDGER, "401 for a while"}
    concurrent = [name for name in found if name not in sequential]
    exclusive = chance.choice([*outages, "401 for a while", None])
    lanes = [[(chance.uniform(0, LENGTH), name)] for name in chance.sample(concurrent, k=4)]
    lanes.append(_one_at_a_time(chance, chance.sample(processes, k=chance.randint(1, 2))))
    if ledger:
        lanes.append(_one_at_a_time(chance, [chance.choice([*disruptions.LEDGER])]))
    if exclusive is not None:
        lanes.append(_one_at_a_time(chance, [exclusive]))
    return Plan(lanes)


def _one_at_a_time(chance: random.Random, names: Sequence[str]) -> list[tuple[float, str]]:
    times = sorted(chance.uniform(1, LENGTH) for _ in names)
    return list(zip(times, names, strict=True))


async def run(
    mode: Mode,
    seed: int,
    fork_server: ForkServer,
    clock: AcceleratedClock,
    directory: Path,
    *,
    messages: int = MESSAGES,
    chosen: Plan | None = None,
    mutant: str | None = None,
    settings: Mapping[str, str] | None = None,
    inngest: Mapping[str, Any] | None = None,
) -> Result:
    """Run the seed's disruptions, or the chosen ones, with the seed's traffic, and reconcile."""
    start = time.monotonic()
    available = {**catalogue(mode), **disruptions.NOT_GUARANTEED}
    chance = random.Random(f"{mode} {seed}")
    ledger = chosen is None and seed % 2 == 0
    chosen = chosen or plan(mode, chance, ledger=ledger)
    settings = {**(LEDGER if ledger else {}), **(settings or {})}
    async with environment(
        mode, fork_server, clock, directory, mutant=mutant, settings=settings, inngest=inngest
    ) as env:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_publish(env, chance, messages))
            for lane in chosen.lanes:
                tasks.create_task(_disrupt(env, lane, available, random.Random(seed)))
        findings = await conclude(env)
        log = env.relay.log()
    return Result(mode, seed, chosen.names, findings, time.monotonic() - start, log)


async def conclude(env: Environment, within: float = 3_000.0) -> Findings:
    """End all disruptions, wait until everything is settled, and reconcile."""
    await _end_disruptions(env)
    try:
        await env.settled(within)
    except TimeoutError:
        await env.relay.kill_if_running()  # the findings report what is left
    return reconciled(env)


def reconciled(env: Environment) -> Findings:
    """Reconcile the records as they are now."""
    return reconcile(
        env.publisher.record,
        env.inngest.events,
        env.inngest.runs,
        env.inngest.functions,
        env.dead.messages(),
        len(env.main.messages()),
        env.allowed_codes,
    )


async def _publish(env: Environment, chance: random.Random, messages: int) -> None:
    to_publish = traffic(chance, messages)
    step = messages // STEPS
    for at in range(0, messages, step):
        await env.publish(*to_publish[at : at + step])
        await env.clock.sleep(LENGTH / STEPS)


async def _disrupt(
    env: Environment,
    lane: Sequence[tuple[float, str]],
    available: Mapping[str, Disruption],
    chance: random.Random,
) -> None:
    start = env.clock.time()
    for at, name in lane:
        await env.clock.sleep(at - (env.clock.time() - start))
        await available[name](env, chance)


async def _end_disruptions(env: Environment) -> None:
    env.inngest.script.clear()
    env.sqs.faults.clear()
    env.ledger.state = "healthy"
    for proxy in env.proxies.values():
        proxy.intercept = no_interception
    await env.inngest.up()
    env.relay.send(signal.SIGCONT)
    if not env.relay.running:
        await env.relay.start()
    await env.start_daemon()
