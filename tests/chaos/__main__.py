"""`python -m tests.chaos`: break everything, seed after seed, and balance the books.

`make chaos` runs it. It prints each run as it ends, then one table, and on the last line one JSON
object: `{"runs": …, "lost": 0, "ran_twice": 0, "unexplained": 0, "seconds": …}`. It exits with 1
where any of the three is not 0. `--seed N --mode M` plays one run again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeAlias

from relay.local.inngest import Lags
from tests.chaos import kill_points
from tests.chaos.accelerated_clock import Haste
from tests.chaos.environment import MODES, SPEED, Mode
from tests.chaos.kill_points import SIZES, Point, enumerate_points, kill_at
from tests.chaos.preloading import remember_service_models
from tests.chaos.processes import Zygote, zygote
from tests.chaos.report import BROKEN, Row, summary, table
from tests.chaos.run import Plan, run

JOBS = 4
KILLS = 8
"""Runs at a time: they mostly wait, those with a kill most of all."""

Stage: TypeAlias = tuple[Zygote, Haste, Path]

TRIES = 3
"""How often a point is looked for. In haste the ledger's patience is milliseconds."""

WITHOUT_REDIS = 3
"""How many runs tell what a server that keeps its queue in memory forgets."""


def main() -> None:
    arguments = _parser().parse_args()
    logging.disable(logging.WARNING)  # the local servers' remarks about the faults they were given
    remember_service_models()
    start = time.monotonic()
    rows = asyncio.run(_play(arguments))
    _say(*table(rows))
    found = summary(rows, time.monotonic() - start)
    _say(json.dumps(found))
    sys.exit(any(found[name] for name in BROKEN))


async def _play(arguments: argparse.Namespace) -> list[Row]:
    haste, less = (Haste(time.time(), speed) for speed in (SPEED, kill_points.SPEED))
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        async with zygote(haste) as parent, zygote(less) as calmer:
            performance = _Performance(
                (parent, haste, Path(directory)), (calmer, less, Path(directory))
            )
            modes = MODES if arguments.mode is None else (arguments.mode,)
            one = arguments.seed is not None
            seeds = [arguments.seed] if one else range(1, arguments.seeds + 1)
            runs = [performance.seed(mode, seed) for seed in seeds for mode in modes]
            if not one:
                runs += [performance.without_redis(seed) for seed in range(1, WITHOUT_REDIS + 1)]
                runs += await performance.kills(modes) if arguments.kills else []
            return await asyncio.gather(*runs)


class _Performance:
    """Makes runs, a few at a time."""

    def __init__(self, stage: Stage, calmer: Stage) -> None:
        self._stage = stage
        self._calmer = calmer
        self._gate = asyncio.Semaphore(JOBS)
        self._slower = asyncio.Semaphore(KILLS)

    async def seed(self, mode: Mode, seed: int) -> Row:
        """What the seed draws."""
        async with self._gate:
            result = await run(mode, seed, *self._stage)
        title = f"--mode {mode} --seed {seed}: {', '.join(result.names)}"
        return _told(Row(mode, title, result.verdict, result.seconds, result.log))

    async def without_redis(self, seed: int) -> Row:
        """A server that keeps its queue in memory, and dies."""
        chosen = Plan([[(13.0, "it is killed at once"), (34.0, "it is killed at once")]])
        async with self._gate:
            result = await run(
                *("push", seed, *self._stage),
                chosen=chosen,
                inngest={
                    "persistence": "memory",
                    "lags": Lags(insert=1.0, schedule=4.0, run=4.0),
                },
            )
        title = f"a server without an external Redis dies twice ({seed})"
        return _told(
            Row("server's memory**", title, result.verdict, result.seconds, promised=False)
        )

    async def kills(self, modes: tuple[Mode, ...]) -> list[Coroutine[Any, Any, Row]]:
        """One run for each point, found by recording."""
        wanted = [(mode, size) for mode in modes for size in SIZES]
        found = await asyncio.gather(*(self._points(mode, size) for mode, size in wanted))
        return [
            self._kill(mode, size, point)
            for (mode, size), points in zip(wanted, found, strict=True)
            for point in points
        ]

    async def _points(self, mode: Mode, size: int) -> list[Point]:
        async with self._slower:
            return await enumerate_points(mode, size, *self._calmer)

    async def _kill(self, mode: Mode, size: int, point: Point) -> Row:
        async with self._slower:
            start = time.monotonic()
            killing = await kill_at(mode, size, point, *self._calmer)
            for _ in range(TRIES - 1):
                if killing.reached:
                    break
                killing = await kill_at(mode, size, point, *self._calmer)
        missed = "" if killing.reached else " (not reached this time)"
        title = f"{mode}, {size} in hand, killed {point}{missed}"
        return _told(Row(f"{mode}, killed", title, killing.verdict, time.monotonic() - start))


def _told(row: Row) -> Row:
    _say(*row.lines())
    return row


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="how many, of each mode")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--mode", choices=MODES, help="this one alone")
    kills = "kill the relay at every effect too"
    parser.add_argument("--kills", action=argparse.BooleanOptionalAction, default=True, help=kills)
    return parser


if __name__ == "__main__":
    main()
