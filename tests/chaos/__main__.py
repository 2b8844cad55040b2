"""Chaos runs: inject faults by seed, and reconcile what was published with what ran.

`make chaos` runs it as `python -m tests.chaos`. It prints each run as it ends, then a table, and on
the last line a JSON object: `{"runs": …, "lost": 0, "ran_twice": 0, "unexplained": 0, "audits": …,
"seconds": …}`. The exit code is 1 if one of the three is not 0. `--seed N --mode M` repeats a run.
Each run by seed ends with `relay audit` over its log, its ledger and the orchestrator's list.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from relay.local.inngest import Lags
from tests.chaos import kill_points
from tests.chaos.accelerated_clock import AcceleratedClock
from tests.chaos.conditions import LONG, draw
from tests.chaos.environment import LAMBDA, MODES, SPEED, Mode
from tests.chaos.gateway.kill_points import gateway_points, kill_gateway_at
from tests.chaos.gateway.run import run_gateway
from tests.chaos.kill_points import SIZES, Point, enumerate_points, kill_at
from tests.chaos.preloading import cache_service_models
from tests.chaos.processes import ForkServer, fork_server
from tests.chaos.report import BROKEN, Row, summary, table
from tests.chaos.run import Plan, run

GATEWAY = "gateway"
"""The mode in which producers send to `relay gateway`; a relay polls its queue."""

JOBS = 4
KILLS = 8
"""Concurrent runs by seed, and with a kill. They mostly wait, those with a kill most of all."""

Setup: TypeAlias = tuple[ForkServer, AcceleratedClock, Path]

STALL = 0.5
"""Real seconds without progress from which a run says so: short timeouts end in that time."""

TRIES = 3
"""Attempts to reach a kill point: with the clock accelerated, the ledger times out at once."""

WITHOUT_REDIS = 3
"""Runs that show what a server loses that keeps its queue in memory."""


def main() -> None:
    arguments = _parser().parse_args()
    logging.disable(logging.WARNING)  # the local servers log the injected faults
    cache_service_models()
    start = time.monotonic()
    rows = asyncio.run(_run_all(arguments))
    _say(*table(rows))
    found = summary(rows, time.monotonic() - start)
    _say(json.dumps(found))
    sys.exit(any(found[name] for name in BROKEN))


async def _run_all(arguments: argparse.Namespace) -> list[Row]:
    now = time.time()
    clock, slow_clock = AcceleratedClock(now, SPEED), AcceleratedClock(now, kill_points.SPEED)
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        async with (
            fork_server(clock) as parent,
            fork_server(slow_clock) as slow,
            fork_server(AcceleratedClock(now, 1.0)) as auditors,
        ):
            folder = Path(directory)
            fast_setup, slow_setup = (parent, clock, folder), (slow, slow_clock, folder)
            audited = auditors if arguments.audit else None
            runner = _Runner(fast_setup, slow_setup, arguments.jobs, audited)
            modes = [mode for mode in MODES if arguments.mode in (None, mode)]
            gateway = arguments.mode in (None, GATEWAY)
            one = arguments.seed is not None
            seeds = arguments.seed if one else range(1, arguments.seeds + 1)
            runs = [runner.seed(mode, seed) for seed in seeds for mode in modes]
            if gateway:
                runs += [runner.gateway_seed(seed) for seed in seeds]
            if not one and modes:
                runs += [runner.without_redis(seed) for seed in range(1, WITHOUT_REDIS + 1)]
            if not one and arguments.kills:
                runs += await runner.kills(modes)
                runs += await runner.gateway_kills() if gateway else []
            return await asyncio.gather(*runs)


class _Runner:
    """Runs everything, a few runs at a time."""

    def __init__(self, setup: Setup, slow: Setup, jobs: int, auditors: ForkServer | None) -> None:
        self._setup = setup
        self._auditors = auditors
        self._slow = slow
        self._slots = asyncio.Semaphore(jobs)
        self._long_slots = asyncio.Semaphore(LONG)
        self._kill_slots = asyncio.Semaphore(KILLS)

    async def seed(self, mode: Mode, seed: int) -> Row:
        """A run with the disruptions that the seed draws."""
        # On Lambda a kill or a timeout costs a cold start, which takes the time that it takes.
        long = mode in LAMBDA or draw(mode, seed).long
        async with self._long_slots if long else self._slots:
            setup = self._slow if long else self._setup
            result = await run(mode, seed, *setup, auditors=self._auditors)
        busy = (
            f" (the machine stalled for {result.stalled:.1f} s)" if result.stalled > STALL else ""
        )
        title = f"--mode {mode} --seed {seed}{busy}: {', '.join(result.names)}"
        row = Row(mode, title, result.findings, result.seconds, result.log, audits=result.audits)
        return _print_row(row)

    async def gateway_seed(self, seed: int) -> Row:
        """A run with producers in front of a gateway."""
        async with self._kill_slots:
            result = await run_gateway(seed, *self._slow)
        title = f"--mode {GATEWAY} --seed {seed}: {', '.join(result.names)}"
        return _print_row(Row(GATEWAY, title, result.findings, result.seconds, result.log))

    async def gateway_kills(self) -> list[Coroutine[Any, Any, Row]]:
        """One run for each point at which the gateway can be killed."""
        async with self._kill_slots:
            points = await gateway_points(*self._slow)
        return [self._kill_gateway(point) for point in points]

    async def _kill_gateway(self, point: Point) -> Row:
        async with self._kill_slots:
            start = time.monotonic()
            result = await kill_gateway_at(point, *self._slow)
        missed = "" if result.reached else " (not reached)"
        title = f"{GATEWAY}, killed {point}{missed}"
        return _print_row(
            Row(f"{GATEWAY}, killed", title, result.findings, time.monotonic() - start, result.log)
        )

    async def without_redis(self, seed: int) -> Row:
        """A run with an Inngest that keeps its queue in memory and is killed twice."""
        chosen = Plan([[(13.0, "the server is killed"), (34.0, "the server is killed")]])
        async with self._slots:
            result = await run(
                *("push", seed, *self._setup),
                chosen=chosen,
                inngest={
                    "persistence": "memory",
                    "lags": Lags(insert=1.0, schedule=4.0, run=4.0),
                },
            )
        title = f"a server without an external Redis is killed twice ({seed})"
        return _print_row(
            Row("server's memory**", title, result.findings, result.seconds, guaranteed=False)
        )

    async def kills(self, modes: Sequence[Mode]) -> list[Coroutine[Any, Any, Row]]:
        """One run for each kill point; the points are found by recording a run."""
        wanted = [(mode, size) for mode in modes for size in SIZES]
        found = await asyncio.gather(*(self._points(mode, size) for mode, size in wanted))
        return [
            self._kill(mode, size, point)
            for (mode, size), points in zip(wanted, found, strict=True)
            for point in points
        ]

    async def _points(self, mode: Mode, size: int) -> list[Point]:
        async with self._kill_slots:
            return await enumerate_points(mode, size, *self._slow)

    async def _kill(self, mode: Mode, size: int, point: Point) -> Row:
        async with self._kill_slots:
            start = time.monotonic()
            result = await kill_at(mode, size, point, *self._slow)
            for _ in range(TRIES - 1):
                if result.reached:
                    break
                result = await kill_at(mode, size, point, *self._slow)
        missed = "" if result.reached else " (not reached)"
        title = f"{mode}, {size} in flight, killed {point}{missed}"
        return _print_row(Row(f"{mode}, killed", title, result.findings, time.monotonic() - start))


def _print_row(row: Row) -> Row:
    _say(*row.lines())
    return row


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="the number of seeds per mode")
    parser.add_argument("--seed", type=int, nargs="+", help="run only this seed, or these")
    parser.add_argument("--mode", choices=[*MODES, GATEWAY], help="run only this mode")
    parser.add_argument("--jobs", type=int, default=JOBS, help="concurrent runs by seed")
    kills = "also kill the relay before and after every external effect"
    parser.add_argument("--kills", action=argparse.BooleanOptionalAction, default=True, help=kills)
    audit = "end each run by seed with audits, and compare them with the records"
    parser.add_argument("--audit", action=argparse.BooleanOptionalAction, default=True, help=audit)
    return parser


if __name__ == "__main__":
    main()
