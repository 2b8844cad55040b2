"""`python -m bench`: measure, print tables, and end with one line of JSON.

    python -m bench [--quick] [--rounds 3] [--out FILE]

CPU is user and system time of the process under test, as the operating system counts it, for each
message that it finished. Rounds are interleaved, so that a noisy machine is as noisy for everybody;
medians count. Where there are two CPUs or more, the servers have one and who is measured another.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import contestant, cost, growth, idle, memory, start
from bench.contestant import Contestant
from bench.course import Figures, Ground, Work, run
from bench.report import told
from bench.servant import Servant, cpus
from bench.targets import targets

SMALL = Work(name="small", size=300)
MEDIUM = Work(name="medium", size=2_000)
LARGE = Work(name="large", size=100_000)
SATURATION = Work(name="saturation", size=300, latency=0.02)
POISON = Work(name="poison", size=300, poison=0.01)
ABOUT = {
    "small": "events of 300 B",
    "medium": "events of 2 KB",
    "large": "events of 100 KB",
    "saturation": "events of 300 B, the event API takes 20 ms, 500 in hand",
    "poison": "events of 300 B, 1 % of them poison",
}

Plan = Sequence[tuple[Work, Sequence[Contestant]]]


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure beside peers.")
    parser.add_argument("--quick", action="store_true", help="one short round, under a minute")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the JSON to this file too")
    arguments = parser.parse_args()
    results = asyncio.run(_measured(1 if arguments.quick else arguments.rounds, arguments.quick))
    found = targets(results)
    results["targets"] = [{**asdict(one), "met": one.met} for one in found]
    told(results, found, Console(width=160, highlight=False))
    line = json.dumps(results)
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(f"{line}\n")
    print(line)


async def _measured(rounds: int, quick: bool) -> dict[str, Any]:  # noqa: FBT001 - the flag of the command line
    servers, under_test = cpus()
    log = Path(tempfile.mkdtemp(prefix="bench-")) / "contestants.log"
    print(f"what the contestants print goes to {log}", file=sys.stderr)
    peers, skipped = _node()
    shrink = 5 if quick else 1
    async with (
        Servant("bench.queue_server", cpu=servers) as sqs,
        Servant("bench.sink", cpu=servers) as sink,
    ):
        ground = Ground(sqs, sink, under_test, log)
        pull, push = _plans(peers, quick=quick)
        results: dict[str, Any] = {
            "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python "
            f"{platform.python_version()}",
            "rounds": rounds,
            "workloads": ABOUT,
            "peers": {one.name: one.about for _, all_ in (*pull, *push) for one in all_} | skipped,
            "pull": await _contests(ground, pull, rounds, shrink),
            "push": await _contests(ground, push, rounds, shrink),
        }
        results["idle"] = await _idle(ground, 30 if quick else 100)
        results["memory"] = asdict(await memory.memory(ground, 10_000 if quick else 200_000))
        results["start"] = await _start(ground)
        results["growth"] = {} if quick else await _growth(ground)
    results["cost"] = cost.costs(
        results["pull"]["saturation"]["relay poll"], results["push"]["small"]["relay serve"]
    )
    return results


def _node() -> tuple[tuple[Contestant, ...], dict[str, str]]:
    """What runs on Node, or why it does not."""
    try:
        return contestant.node(contestant.installed()), {}
    except RuntimeError as error:
        return (), {"sqs-consumer": f"skipped: {error}"}


def _plans(peers: Sequence[Contestant], *, quick: bool) -> tuple[Plan, Plan]:
    """Which contestants do which work."""
    ours, push = contestant.relay_poll(), contestant.relay_serve()
    both = (ours, contestant.floor())
    worker = contestant.web_worker()
    if quick:
        pull: Plan = ((SMALL, (*both, *peers[1:])), (SATURATION, (ours,)))
        return pull, ((SMALL, (push, worker)),)
    pull = (
        (SMALL, (*both, *peers, contestant.threads())),
        (MEDIUM, (*both, *peers[1:])),
        (LARGE, both),
        (SATURATION, both),
        (POISON, (ours,)),
    )
    return pull, ((SMALL, (push, worker)), (MEDIUM, (push,)))


async def _contests(
    ground: Ground, plan: Plan, rounds: int, shrink: int
) -> dict[str, dict[str, Any]]:
    """Everybody's figures by work: medians over the rounds, which go round all contestants."""
    found: dict[tuple[str, str], list[Figures]] = {}
    for number in range(rounds):
        for work, contestants in plan:
            for one in contestants:
                print(f"round {number + 1}: {work.name}, {one.name}", file=sys.stderr)
                figures = await run(ground, one, work, shrink=shrink)
                found.setdefault((work.name, one.name), []).append(figures)
    results: dict[str, dict[str, Any]] = {}
    for (work_name, name), figures in found.items():
        results.setdefault(work_name, {})[name] = _summary(figures)
    return results


def _summary(figures: Sequence[Figures]) -> Mapping[str, Any]:
    def middle(name: str) -> float:
        return statistics.median(getattr(one, name) for one in figures)

    return {
        **{name: middle(name) for name in ("cpu", "requests", "posts", "rate", "server", "peak")},
        "held": [statistics.median(one.held[at] for one in figures) for at in (0, 1)],
        "rounds": [one.cpu for one in figures],
    }


async def _idle(ground: Ground, count: int) -> dict[str, tuple[float, float]]:
    found = {}
    for one in (contestant.relay_poll(), contestant.relay_serve()):
        taken = await idle.latencies(ground, one, count)
        cuts = statistics.quantiles(taken, n=100)
        found[one.name] = (statistics.median(taken), cuts[98])
    return found


async def _start(ground: Ground) -> dict[str, float]:
    both = (contestant.relay_poll(), contestant.relay_serve())
    return {one.name: await start.start_cpu(ground, one) for one in both}


async def _growth(ground: Ground) -> dict[str, Any]:
    return {
        "in_hand": await growth.in_hand(ground, SATURATION, 5_000),
        "relays": await growth.relays(ground, SATURATION, 10_000),
    }


if __name__ == "__main__":
    main()
