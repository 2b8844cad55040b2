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
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from bench.contestant import BUILD, Contestant
from bench.failure import Failed
from bench.measuring import Extent, measured
from bench.node import node
from bench.report import told
from bench.rounds import say
from bench.targets import targets

FULL = Extent(rounds=3, telemetry=6, shrink=1, idle=100, messages=200_000, growth=True)
QUICK = Extent(rounds=1, telemetry=0, shrink=5, idle=30, messages=10_000, growth=False)

INTERRUPTED = 130
"""The exit code of a program that Ctrl-C ended."""


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure beside peers.")
    parser.add_argument("--quick", action="store_true", help="one short round, under a minute")
    parser.add_argument("--rounds", type=int, default=FULL.rounds)
    parser.add_argument("--out", type=Path, help="write the JSON to this file too")
    arguments = parser.parse_args()
    extent = QUICK if arguments.quick else FULL.of(arguments.rounds)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # contestants are ended as by Ctrl-C
    try:
        _measure(extent, arguments.out)
    except Failed as error:
        sys.exit(f"the benchmark has failed: {error}")
    except KeyboardInterrupt:
        say("interrupted: everything that was started has been ended")
        sys.exit(INTERRUPTED)


def _measure(extent: Extent, out: Path | None) -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    peers, skipped = _node()
    results = asyncio.run(measured(extent, peers))
    results["peers"] |= skipped
    found = targets(results)
    results["targets"] = [{**asdict(one), "met": one.met} for one in found]
    told(results, Console(width=160, highlight=False))
    line = json.dumps(results)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(f"{line}\n")
    print(line)


def _node() -> tuple[tuple[Contestant, ...], dict[str, str]]:
    """What runs on Node, or why it does not."""
    try:
        return node(), {}
    except Failed as error:
        say(f"sqs-consumer is skipped: {error}")
        return (), {"sqs-consumer": f"skipped: {error}"}


if __name__ == "__main__":
    main()
