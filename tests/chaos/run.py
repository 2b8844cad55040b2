"""One run: traffic, troubles drawn by the seed, calm, and the verdict."""

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
from tests.chaos.accelerated_clock import Haste
from tests.chaos.disruptions import Trouble
from tests.chaos.environment import Mode, World, world
from tests.chaos.findings import Verdict, judge
from tests.chaos.processes import Zygote
from tests.chaos.proxy import untouched
from tests.chaos.traffic import traffic

LENGTH = 60.0
"""Seconds, of the world's, over which the traffic comes and the troubles begin."""
MESSAGES = 90
STEPS = 6


@dataclass(frozen=True)
class Result:
    """What a run came to. `seconds` are real ones, `log` the relay's last words."""

    mode: Mode
    seed: int
    names: Sequence[str]
    verdict: Verdict
    seconds: float
    log: str


@dataclass(frozen=True)
class Plan:
    """The troubles of a run, each with the second at which it begins; a lane does one at a time."""

    lanes: Sequence[Sequence[tuple[float, str]]]

    @property
    def names(self) -> list[str]:
        return [name for lane in self.lanes for _, name in lane]


LEDGER = {"RELAY_LEDGER_TABLE": "ledger"}
"""The settings of every other run."""


def catalogue(mode: Mode) -> dict[str, Trouble]:
    """Every trouble that this mode can have."""
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
    """What goes wrong, and when."""
    found = catalogue(mode)
    absences = ["it is down", *disruptions.CONFIRMED, "messages age"]
    processes = [name for name in disruptions.PROCESS if name != "messages age"]
    if mode == "push":
        processes.append("sqsd dies")
    in_turn = {*absences, *processes, *disruptions.LEDGER, "401 for a while"}
    apart = [name for name in found if name not in in_turn]
    alone = chance.choice([*absences, "401 for a while", None])
    lanes = [[(chance.uniform(0, LENGTH), name)] for name in chance.sample(apart, k=4)]
    lanes.append(_in_turn(chance, chance.sample(processes, k=chance.randint(1, 2))))
    if ledger:
        lanes.append(_in_turn(chance, [chance.choice([*disruptions.LEDGER])]))
    if alone is not None:
        lanes.append(_in_turn(chance, [alone]))
    return Plan(lanes)


def _in_turn(chance: random.Random, names: Sequence[str]) -> list[tuple[float, str]]:
    times = sorted(chance.uniform(1, LENGTH) for _ in names)
    return list(zip(times, names, strict=True))


async def run(
    mode: Mode,
    seed: int,
    zygote: Zygote,
    haste: Haste,
    directory: Path,
    *,
    messages: int = MESSAGES,
    chosen: Plan | None = None,
    mutant: str | None = None,
    settings: Mapping[str, str] | None = None,
    inngest: Mapping[str, Any] | None = None,
) -> Result:
    """Play the seed, or the chosen troubles in its traffic, and judge what became of everything."""
    start = time.monotonic()
    known = {**catalogue(mode), **disruptions.UNPROMISED}
    chance = random.Random(f"{mode} {seed}")
    ledger = chosen is None and seed % 2 == 0
    chosen = chosen or plan(mode, chance, ledger=ledger)
    settings = {**(LEDGER if ledger else {}), **(settings or {})}
    async with world(
        mode, zygote, haste, directory, mutant=mutant, settings=settings, inngest=inngest
    ) as made:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_publish(made, chance, messages))
            for lane in chosen.lanes:
                tasks.create_task(_suffer(made, lane, known, random.Random(seed)))
        verdict = await conclude(made)
        log = made.relay.log()
    return Result(mode, seed, chosen.names, verdict, time.monotonic() - start, log)


async def conclude(made: World, within: float = 3_000.0) -> Verdict:
    """Mend everything, wait for the end, and judge."""
    await _calm(made)
    try:
        await made.settled(within)
    except TimeoutError:
        await made.relay.kill_if_running()  # what is left is the verdict's to say
    return judged(made)


def judged(made: World) -> Verdict:
    """What the records say now."""
    return judge(
        made.publisher.books,
        made.inngest.events,
        made.inngest.runs,
        made.inngest.functions,
        made.dead.messages(),
        len(made.main.messages()),
        made.excuses,
    )


async def _publish(made: World, chance: random.Random, messages: int) -> None:
    script = traffic(chance, messages)
    step = messages // STEPS
    for at in range(0, messages, step):
        await made.publish(*script[at : at + step])
        await made.haste.sleep(LENGTH / STEPS)


async def _suffer(
    made: World,
    lane: Sequence[tuple[float, str]],
    known: Mapping[str, Trouble],
    chance: random.Random,
) -> None:
    start = made.haste.time()
    for at, name in lane:
        await made.haste.sleep(at - (made.haste.time() - start))
        await known[name](made, chance)


async def _calm(made: World) -> None:
    made.inngest.script.clear()
    made.sqs.faults.clear()
    made.ledger.mood = "well"
    for proxy in made.proxies.values():
        proxy.look = untouched
    await made.inngest.up()
    made.relay.send(signal.SIGCONT)
    if not made.relay.running:
        await made.relay.start()
    await made.start_daemon()
