"""A supervisor with small processes, each behaving as named on the command line.

`family.py STOP_WITHIN REPORTER WORKER…`; every line that it prints is a JSON array.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial

from relay.process import on_stop_signal
from relay.supervisor.child import Lifeline, Refusal
from relay.supervisor.supervisor import Ended, Note, Started, Supervisor
from relay.telemetry.worker_reports import ReportSocket

REFUSED = 7


def say(*words: object) -> None:
    os.write(1, (json.dumps(words) + "\n").encode())  # whole, also among processes


def steady(number: int, lifeline: Lifeline) -> None:
    """Stop when told to; say whether it was in order or at once."""
    asyncio.run(_steady(number, lifeline, finish=True))


def slow(number: int, lifeline: Lifeline) -> None:
    """Stop only at once."""
    asyncio.run(_steady(number, lifeline, finish=False))


async def _steady(number: int, lifeline: Lifeline, *, finish: bool) -> None:
    stop, release = asyncio.Event(), asyncio.Event()

    def asked() -> None:
        if not stop.is_set():
            say("asked", number)
        stop.set()

    with on_stop_signal(asked), lifeline.following(asked, release.set):
        say("running", number, os.getpid())
        await stop.wait()
        if not finish:
            await release.wait()
        say("released" if release.is_set() else "finished", number)


def deaf(number: int, lifeline: Lifeline) -> None:
    """Never stop: as a process whose loop hangs."""
    say("running", number, os.getpid())
    while True:
        time.sleep(60)


def crash(number: int, lifeline: Lifeline) -> None:
    """Raise."""
    raise RuntimeError(f"process {number} is broken")


def refuse(number: int, lifeline: Lifeline) -> None:
    """Refuse the settings."""
    raise Refusal(REFUSED, "the queue is wrong")


def report(reports: ReportSocket, lifeline: Lifeline) -> None:
    """Read until nobody can write any more, as the relay's reporter does."""
    reports.close_writing()
    asyncio.run(_report(reports, lifeline))


async def _report(reports: ReportSocket, lifeline: Lifeline) -> None:
    ended, loop = asyncio.Event(), asyncio.get_running_loop()

    def read() -> None:
        for packet in reports.read():
            if isinstance(packet, Started):
                say("started", packet.worker, packet.pid)
            elif isinstance(packet, Ended):
                say("ended", packet.worker, packet.how, packet.delay)
            elif packet is None:
                loop.remove_reader(reports.fileno())
                ended.set()

    loop.add_reader(reports.fileno(), read)
    with on_stop_signal(lambda: None), lifeline.following(lambda: None, lambda: None):
        say("reporting", os.getpid())
        await ended.wait()
        say("reported")


WORKERS: dict[str, Callable[[int, Lifeline], None]] = {
    name.__name__: name for name in (steady, slow, deaf, crash, refuse)
}


def main() -> None:
    stop_within, reporter, *workers = sys.argv[1:]
    reports = ReportSocket()
    notes: Callable[[Note], bool] = reports.send
    supervisor = Supervisor(
        [partial(WORKERS[name], number) for number, name in enumerate(workers, 1)],
        partial(report, reports) if reporter == "report" else partial(WORKERS[reporter], 0),
        stop_within=float(stop_within),
        report_within=30.0,
        notify=notes,
        close_reports=reports.close_writing,
        print_error=lambda text: say("error", text.splitlines()[-1]),
    )
    say("supervisor", os.getpid())
    try:
        killed = supervisor.run()
    except Refusal as refusal:
        say("refused", str(refusal))
        sys.exit(refusal.code)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    say("killed", killed)


if __name__ == "__main__":
    main()
