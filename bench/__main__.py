"""Runs the benchmark, prints tables, and one line of JSON at the end.

    python -m bench [--quick] [--rounds 3] [--only PART …] [--out FILE]

CPU is the user and system time of the process under test, as counted by the operating system, per
message processed. Rounds are interleaved, so that noise affects all contestants alike, and medians
are compared. With two or more CPUs, the servers run on one and the contestant on another.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from rich import table as rich
from rich.console import Console

from bench.bento import bento
from bench.contestant import BUILD, Contestant
from bench.measuring import PARTS, Extent, measured
from bench.node import node
from bench.plan import Peers
from bench.progress import say
from bench.server_process import BenchmarkFailed
from bench.table import Results, Table
from bench.tables import SECTIONS
from bench.targets import targets

FULL = Extent(
    rounds=3,
    telemetry=2,
    shrink=1,
    seconds=600,
    limit=1_500,
    idle=200,
    messages=100_000,
    dead_letters=100_000,
    parts=PARTS,
)
QUICK = Extent(
    rounds=1,
    telemetry=1,
    shrink=5,
    seconds=60,
    limit=600,
    idle=30,
    messages=10_000,
    dead_letters=1_000,
    parts=[one for one in PARTS if one not in ("growth", "telemetry")],
)
"""Short runs of what matters most."""

INTERRUPTED = 130
"""The exit code after Ctrl-C."""


def main() -> None:
    """Parse the command line and run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure Relay and its alternatives."
    )
    parser.add_argument("--quick", action="store_true", help="one short round of what matters most")
    parser.add_argument("--rounds", type=int, default=FULL.rounds)
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    parser.add_argument(
        "--only", action="append", choices=PARTS, metavar="PART", help=f"one of {', '.join(PARTS)}"
    )
    arguments = parser.parse_args()
    extent = QUICK if arguments.quick else FULL.of(arguments.rounds)
    extent = extent.limited_to(arguments.only) if arguments.only else extent
    # A shell starts what runs in the background with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        _measure(extent, arguments.out)
    except BenchmarkFailed as error:
        sys.exit(f"the benchmark failed: {error}")
    except KeyboardInterrupt:
        say("interrupted; nothing is left running")
        sys.exit(INTERRUPTED)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Do as with Ctrl-C: contestants are ended."""
    signal.raise_signal(signal.SIGINT)


def _measure(extent: Extent, out: Path | None) -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    peers, skipped = _peers()
    results = asyncio.run(measured(extent, peers))
    results["peers"] |= skipped
    found = targets(results)
    results["targets"] = [{**asdict(one), "met": one.met, "reason": one.reason} for one in found]
    _print_tables(results, Console(width=160, highlight=False))
    line = json.dumps(results)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(f"{line}\n")
    print(line)
    if results["failed"]:
        raise BenchmarkFailed(f"no figures of {', '.join(results['failed'])}; see above")


def _peers() -> tuple[Peers, dict[str, str]]:
    """The contestants that may be missing, and for those that are, the reason."""
    optional: dict[str, Callable[[], Sequence[Contestant]]] = {"sqs-consumer": node, "Bento": bento}
    found: dict[str, Sequence[Contestant]] = {}
    skipped = {}
    for name, of in optional.items():
        try:
            found[name] = of()
        except BenchmarkFailed as error:
            say(f"{name} is skipped: {error}")
            found[name] = ()
            skipped[name] = f"skipped: {error}"
    return Peers(found["sqs-consumer"], found["Bento"]), skipped


def _print_tables(results: Results, console: Console) -> None:
    for name, section in SECTIONS.items():
        for table in section(results):
            console.print(_rich_table(name, table))


def _rich_table(section: str, table: Table) -> rich.Table:
    title = f"{section}: {table.title}" if table.title else section
    drawn = rich.Table(*table.columns, title=title, title_justify="left")
    for row in table.rows:
        drawn.add_row(*(cell.replace("**", "") for cell in row))
    return drawn


if __name__ == "__main__":
    main()
