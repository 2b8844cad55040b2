"""One chaos run: traffic with disruptions drawn by the seed, recovery, and reconciliation."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relay.local.demo.samples import SampleMessage
from tests.chaos import disruptions
from tests.chaos.accelerated_clock import AcceleratedClock
from tests.chaos.audits import Source, audit_run, disagreements, records_of
from tests.chaos.conditions import NO_CONDITION, Condition, Operator, draw, nothing
from tests.chaos.environment import (
    FIFO,
    LAMBDA,
    Disruption,
    Environment,
    Mode,
    environment,
)
from tests.chaos.findings import Findings, reconcile
from tests.chaos.lambda_host import LambdaRelay
from tests.chaos.processes import ForkServer
from tests.chaos.proxy import no_interception
from tests.chaos.wire_disruptions import WIRE

LENGTH = 60.0
"""Accelerated seconds during which the traffic is sent and the disruptions begin."""
MESSAGES = 90
STEPS = 6
TICK = 0.1


@dataclass(frozen=True)
class Result:
    """The result of a run. `seconds` are real seconds, `log` is the end of the relay's output.

    `audits` counts the audits that were compared with the judge's records.
    `stalled` is the longest time in real seconds for which this process did nothing: if it is not
    short, the machine was too busy for the clock.
    """

    mode: Mode
    seed: int
    names: Sequence[str]
    findings: Findings
    seconds: float
    log: str
    stalled: float = 0.0
    audits: int = 0


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
        **WIRE,
    }
    found |= {**disruptions.PROCESS, **disruptions.LEDGER}
    if mode == "push":
        found |= disruptions.DAEMON
    if mode in LAMBDA:
        found |= disruptions.LAMBDA
    return found if mode in FIFO else {**found, **disruptions.STANDARD}


def plan(mode: Mode, chance: random.Random, condition: Condition, *, ledger: bool) -> Plan:
    """Draw the disruptions and their start times; the condition's own one starts early."""
    found = catalogue(mode)
    outages = ["the orchestrator is down", *disruptions.CONFIRMED, "messages near expiry"]
    for name in condition.without:
        del found[name]
        outages.remove(name)
    processes = [name for name in disruptions.PROCESS if name != "messages near expiry"]
    if mode == "push":
        processes.append("sqsd restarts")
    if mode in LAMBDA:
        processes.append("the event source restarts")
    sequential = {*outages, *processes, *disruptions.LEDGER, "401 for a while"}
    concurrent = [name for name in found if name not in sequential]
    exclusive = chance.choice([*outages, "401 for a while", None])
    lanes = [[(chance.uniform(0, LENGTH), name)] for name in chance.sample(concurrent, k=4)]
    lanes.append(_one_at_a_time(chance, chance.sample(processes, k=chance.randint(1, 2))))
    if ledger:
        lanes.append(_one_at_a_time(chance, [chance.choice([*disruptions.LEDGER])]))
    if condition.disruption is not None:
        lanes.append([(chance.uniform(1, LENGTH / 2), condition.name)])
    elif exclusive is not None:
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
    inngest: Mapping[str, Any] | None = None,
    auditors: ForkServer | None = None,
) -> Result:
    """Run the seed's disruptions, or the chosen ones, with the seed's traffic, and reconcile.

    Without `chosen`, the run also has the condition that the seed draws. With `auditors`, processes
    on the real clock, it ends with audits, and what they say otherwise is unexplained.
    """
    start = time.monotonic()
    condition = NO_CONDITION if chosen is not None else draw(mode, seed)
    available = {**catalogue(mode), **disruptions.NOT_GUARANTEED}
    if condition.disruption is not None:
        available[condition.name] = condition.disruption
    chance = random.Random(f"{mode} {seed}")
    ledger = chosen is None and seed % 2 == 0
    chosen = chosen or plan(mode, chance, condition, ledger=ledger)
    async with environment(
        *(mode, fork_server, clock, directory),
        settings={**(LEDGER if ledger else {}), **condition.settings},
        options=condition.options,
        queues=condition.queues,
        rules=condition.rules,
        inngest=inngest,
    ) as env:
        watch = Watch()
        watching = asyncio.create_task(watch.run())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_publish(env, condition.traffic(chance, messages)))
            for lane in chosen.lanes:
                tasks.create_task(_disrupt(env, lane, available, random.Random(seed)))
        findings = await conclude(env, operator=condition.operator)
        watching.cancel()
        sources: Sequence[Source] = ()
        if auditors is not None and findings.clean:
            sources = ("list", "log", "ledger") if ledger else ("list", "log")
            for source in sources:
                findings = await _audited(env, directory, source, auditors, findings)
        log = env.relay.log()
    names = [*dict.fromkeys((condition.name, *chosen.names))]
    seconds = time.monotonic() - start
    return Result(mode, seed, names, findings, seconds, log, watch.longest, len(sources))


async def _audited(
    env: Environment, directory: Path, source: Source, auditors: ForkServer, findings: Findings
) -> Findings:
    """The findings with what an audit says otherwise."""
    records = records_of(env)  # before: the ledger may still grow
    audited = await audit_run(env, directory, source, auditors)
    found = disagreements(audited, records)
    more = tuple(f"the audit of the {source}: {sentence}" for sentence in found)
    return replace(findings, unexplained=(*findings.unexplained, *more))


class Watch:
    """Measures how late this process is; `longest` is in seconds."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK)
            self.longest = max(self.longest, time.monotonic() - before - TICK)


async def conclude(
    env: Environment, within: float = 3_000.0, *, operator: Operator = nothing
) -> Findings:
    """End all disruptions, let the operator act, wait until everything is settled, reconcile."""
    await _end_disruptions(env)
    await operator(env)
    try:
        await env.settled(within)
    except TimeoutError:
        await env.relay.kill_if_running()  # the findings report what is left
    return reconciled(env)


def reconciled(env: Environment) -> Findings:
    """Reconcile the records as they are now."""
    found = reconcile(
        env.publisher.record,
        env.inngest.events,
        env.inngest.runs,
        env.inngest.functions,
        env.dead.messages(),
        len(env.main.messages()),
        env.allows,
        env.store.objects,
    )
    return replace(found, unexplained=(*found.unexplained, *env.complaints))


async def _publish(env: Environment, to_publish: Sequence[SampleMessage]) -> None:
    step = max(1, len(to_publish) // STEPS)
    for at in range(0, len(to_publish), step):
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
    env.store.available = True
    for proxy in env.proxies.values():
        proxy.intercept = no_interception
    await env.inngest.up()
    env.relay.send(signal.SIGCONT)
    if isinstance(env.relay, LambdaRelay):
        env.relay.faults.clear()
    if not env.relay.running:
        await env.relay.start()
    await env.start_daemon()
