"""`python -m tests.chaos`: break everything, seed after seed, and balance the books.

`make chaos` runs it. It prints each run as it ends, then one table, and on the last line one JSON
object: `{"runs": …, "lost": 0, "ran_twice": 0, "unexplained": 0, "seconds": …}`. It exits with 1
where any of the three is not 0. `--seed N --mode M` plays one run again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.chaos.haste import Haste
from tests.chaos.processes import zygote
from tests.chaos.run import Result, run
from tests.chaos.world import MODES, SPEED, Mode

JOBS = 3
"""Runs at a time: they mostly wait."""


def main() -> None:
    arguments = _parser().parse_args()
    seeds = range(1, arguments.seeds + 1) if arguments.seed is None else [arguments.seed]
    modes: Sequence[Mode] = MODES if arguments.mode is None else [arguments.mode]
    start = time.monotonic()
    results = asyncio.run(_play([(mode, seed) for seed in seeds for mode in modes]))
    _say(*_table(results))
    summary = _summary(results, time.monotonic() - start)
    _say(json.dumps(summary))
    sys.exit(any(summary[name] for name in ("lost", "ran_twice", "unexplained")))


async def _play(wanted: Sequence[tuple[Mode, int]]) -> list[Result]:
    haste = Haste(time.time(), SPEED)
    gate = asyncio.Semaphore(JOBS)
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        async with zygote(haste) as parent:

            async def one(mode: Mode, seed: int) -> Result:
                async with gate:
                    result = await run(mode, seed, parent, haste, Path(directory))
                _say(*_told(result))
                return result

            return await asyncio.gather(*(one(mode, seed) for mode, seed in wanted))


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _told(result: Result) -> Iterator[str]:
    verdict = result.verdict
    state = "ok" if verdict.clean else "FAILED"
    yield (
        f"{state:6} --mode {result.mode} --seed {result.seed}: {result.seconds:.1f} s,"
        f" {', '.join(result.names)}"
    )
    if not verdict.clean:
        yield from (f"       {complaint}" for complaint in verdict.complaints())
        yield from (f"       | {line}" for line in result.log.splitlines())


def _table(results: Sequence[Result]) -> Iterator[str]:
    columns = (
        "mode",
        "runs",
        "published",
        "ran",
        "dead",
        "repeats*",
        "lost",
        "twice",
        "unexplained",
    )
    yield ""
    yield " ".join(f"{name:>11}" for name in columns)
    for mode in MODES:
        of_mode = [result.verdict for result in results if result.mode == mode]
        if of_mode:
            sums = [
                sum(getattr(v, n) for v in of_mode) for n in ("published", "ran", "dead", "repeats")
            ]
            bad = [
                sum(len(getattr(v, n)) for v in of_mode)
                for n in ("lost", "ran_twice", "unexplained")
            ]
            yield " ".join(f"{one:>11}" for one in (mode, len(of_mode), *sums, *bad))
    yield "* of functions that take batches and ignore ids: reported, not promised"


def _summary(results: Sequence[Result], seconds: float) -> dict[str, float]:
    found: dict[str, float] = {"runs": len(results)}
    for name in ("lost", "ran_twice", "unexplained"):
        found[name] = sum(len(getattr(result.verdict, name)) for result in results)
    return {**found, "seconds": round(seconds, 1)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="how many, of each mode")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--mode", choices=MODES, help="this one alone")
    return parser


if __name__ == "__main__":
    main()
