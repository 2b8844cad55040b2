"""Builds `relay poll` in several processes: workers that poll, and a reporter for all of them.

Supervisor -> forks the reporter (metrics, `/health`, `/ready`) and each worker (telemetry -> queue
-> core -> `Poller`, as in `relay.app.poll`). Workers tell the reporter what they count.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import closing, suppress
from functools import partial
from importlib import import_module
from typing import Any

from relay.app.forwarding import rate_for
from relay.app.poll import HealthEndpoints, QueueRefused, Stop, consume, health_endpoints
from relay.app.redaction import create_redactor
from relay.app.telemetry import start_telemetry
from relay.http.listening import CannotListen
from relay.output.terminal import write
from relay.process import on_hangup, on_stop_signal, run
from relay.settings.clocks import LAST_REPORT, LAST_STEPS
from relay.settings.model import Settings
from relay.supervisor.child import Lifeline, Refusal
from relay.supervisor.supervisor import Supervisor
from relay.telemetry.log_writer import OutputLock
from relay.telemetry.worker_reports import OneOfSeveral, ReportSocket, WorkerSink
from relay.telemetry.workers import Workers

CANNOT_LISTEN, QUEUE_REFUSED = 1, 2
"""The exit codes of processes that refuse to run."""

SHARED = (
    "max_in_flight",
    "max_in_flight_bytes",
    "handler_concurrency",
    "request_concurrency",
    "route_max_held",
)
"""The limits that hold for all workers together: each gets its part."""

_log = logging.getLogger(__name__)


class NotStopped(Exception):
    """Processes did not stop in time and were killed. The text is a sentence for the operator."""


def poll_in_processes(settings: Settings) -> None:
    """Poll in `settings.processes` worker processes until a signal. Call it before any thread runs.

    Raises:
        CannotListen: the address for the health endpoints cannot be bound.
        QueueRefused: the queue is its own dead-letter queue.
        NotStopped: processes were killed, because they did not stop in time.
    """
    with suppress(ImportError):
        import_module("uvloop")  # so that the workers share it
    lock, reports = OutputLock(), ReportSocket()
    numbers = range(1, settings.processes + 1)
    supervisor = Supervisor(
        [
            partial(_work, share(settings, n), WorkerSink(reports, n), reports, lock)
            for n in numbers
        ],
        partial(_report, settings, reports, lock),
        stop_within=settings.drain_deadline + LAST_STEPS - LAST_REPORT,
        report_within=LAST_REPORT + 1.0,
        notify=reports.send,
        close_reports=reports.close_writing,
        print_error=partial(_print_error, settings),
    )
    try:
        with closing(reports):
            killed = supervisor.run()
    except Refusal as refusal:
        if refusal.code == CANNOT_LISTEN:
            raise CannotListen(None, str(refusal)) from refusal
        raise QueueRefused(str(refusal)) from refusal
    if killed:
        raise NotStopped(
            f"{killed} of the processes did not stop in time and were killed: what they had in"
            " flight is received again"
        )


def share(settings: Settings, number: int) -> Settings:
    """The settings of one worker: its part of every limit that holds for the relay as a whole.

    Rates are divided evenly. Of a number, the first workers get one more if there is a remainder.
    """
    count = settings.processes
    parts: dict[str, Any] = {}
    for name in SHARED:
        whole = getattr(settings, name)
        if whole is not None:
            parts[name] = max(1, whole // count + (number <= whole % count))
    rates = {name: rate_for(name, settings) for name in settings.destinations}
    parts["rate_limit"] = tuple(
        f"{name}={rate / count!r}" for name, rate in rates.items() if rate is not None
    )
    return settings.model_copy(update=parts)


def _work(
    settings: Settings,
    sink: WorkerSink,
    reports: ReportSocket,
    lock: OutputLock,
    lifeline: Lifeline,
) -> None:
    """Run a worker, in its process."""
    reports.close_reading()
    _run(_consume(settings, sink, lock, lifeline))


async def _consume(
    settings: Settings, sink: WorkerSink, lock: OutputLock, lifeline: Lifeline
) -> None:
    stop, endpoints = Stop(), HealthEndpoints()
    sink.ready = endpoints.answer
    # A terminal and systemd signal every process, and the supervisor says the same once more.
    with (
        on_stop_signal(stop.request),
        on_hangup(stop.request),
        lifeline.following(stop.request, stop.release),
    ):
        async with start_telemetry(
            settings, several=OneOfSeveral(lock=lock, sink=sink)
        ) as telemetry:
            await consume(settings, telemetry, endpoints, stop, warn=sink.worker == 1)


def _report(
    settings: Settings, reports: ReportSocket, lock: OutputLock, lifeline: Lifeline
) -> None:
    """Run the reporter, in its process."""
    reports.close_writing()
    _run(_collect(settings, reports, lock, lifeline))


async def _collect(
    settings: Settings, reports: ReportSocket, lock: OutputLock, lifeline: Lifeline
) -> None:
    """Report for the workers until the last of them and the supervisor have ended."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    with (
        on_stop_signal(_nothing),
        on_hangup(_nothing),
        lifeline.following(_nothing, _nothing),
    ):
        workers = Workers(settings.processes)
        several = OneOfSeveral(lock=lock, running=workers.running)
        async with start_telemetry(settings, several=several) as telemetry:
            workers.observe, workers.add = telemetry.observe, telemetry.add_counts
            telemetry.state = lambda: workers.state

            def read() -> None:
                for packet in reports.read():
                    if packet is None:
                        loop.remove_reader(reports.fileno())
                        ended.set()
                    else:
                        workers.take(packet)

            async with health_endpoints(settings, telemetry) as endpoints:
                endpoints.ready, endpoints.alive = workers.ready, workers.alive
                loop.add_reader(reports.fileno(), read)
                _log.info("starting %d processes", settings.processes)
                await ended.wait()


def _run(main: Coroutine[Any, Any, None]) -> None:
    """Run a process, and say why it refuses to."""
    try:
        run(main)
    except QueueRefused as error:
        raise Refusal(QUEUE_REFUSED, str(error)) from error
    except CannotListen as error:
        raise Refusal(CANNOT_LISTEN, error.reason) from error


def _print_error(settings: Settings, text: str) -> None:
    """Print a traceback without secrets, as for one process."""
    write(create_redactor(settings).redact(text), err=True)


def _nothing() -> None:
    """Do nothing: the reporter ends after the workers, whatever signal it gets."""
