"""Builds `relay serve` (push mode): sqsd posts messages, a Starlette app hands them to the core.

settings -> telemetry -> core (see `relay.app.core`) -> `PushApp` -> socket
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial

from relay.app.core import open_core
from relay.app.pause import watch_queue
from relay.app.readiness import misconfigured, named_setting
from relay.app.telemetry import Telemetry, start_telemetry
from relay.delivery.fast_path import Caller, Rest
from relay.http.addresses import authority
from relay.http.server import serving
from relay.model.message import Message
from relay.model.outcome import Outcome
from relay.process import on_hangup, on_stop_signal, tune_garbage_collector
from relay.settings.loading import Loaded
from relay.settings.model import Settings
from relay.sources.sqsd import PushApp
from relay.telemetry.report import State

RESPONSE_GRACE = 5.0
"""Seconds that the last responses may take after a stop."""

_log = logging.getLogger(__name__)


async def serve(loaded: Loaded) -> None:
    """Serve until a signal. With problems in the settings, hold every request and report them.

    Raises:
        OSError: the address cannot be bound.
    """
    stop, problems = asyncio.Event(), loaded.problems
    with on_stop_signal(stop.set), on_hangup(stop.set):
        async with start_telemetry(loaded.settings) as telemetry:
            if problems:
                await _serve_halted(loaded.settings, problems, telemetry, stop)
            else:
                await _serve(loaded.settings, telemetry, stop)


async def _serve(settings: Settings, telemetry: Telemetry, stop: asyncio.Event) -> None:
    if settings.processes > 1:
        _log.warning("RELAY_PROCESSES has no effect on `relay serve`: add instances instead")
    async with AsyncExitStack() as stack:
        pause = await watch_queue(settings, stack, telemetry.observe)
        core = await stack.enter_async_context(
            open_core(settings, telemetry, pause=pause, pushed=True)
        )
        app = PushApp(
            core.handler.begin,
            end_wait=core.handler.end_wait,
            hold=settings.clocks.outcome_timeout,
            ready=core.readiness,
            task_paths=frozenset(settings.task_paths),
        )
        async with _listening(app, settings, telemetry):
            _log.info("listening on %s", authority(settings.host, settings.port))
            tune_garbage_collector()
            await stop.wait()
            _log.info("stopping: finishing open requests")
            app.stop()
            await core.stop(min(settings.drain_deadline, settings.request_timeout))
            app.release()


async def _serve_halted(
    settings: Settings, problems: tuple[str, ...], telemetry: Telemetry, stop: asyncio.Event
) -> None:
    """Never answer 200: a deployment with a bad setting must not lose a message."""
    for problem in problems:
        _log.error("halted: %s", problem)
    held = HoldEverything()
    telemetry.state = lambda: State(
        in_flight=len(held), problem=problems[0], setting=named_setting(problems[0])
    )
    app = halted_app(settings, problems, held)
    async with _listening(app, settings, telemetry):
        await stop.wait()
        app.stop()
        app.release()


def halted_app(settings: Settings, problems: tuple[str, ...], held: HoldEverything) -> PushApp:
    """The application of a relay with bad settings: it holds every request, then answers 503.

    For two minutes at the least, also where the hold itself is shorter or among the mistakes: an
    immediate 503 would use up the receives that the queue's redrive policy allows.
    """
    hold = settings.clocks.outcome_timeout
    return PushApp(held.begin, hold=hold, ready=misconfigured(problems, held))


@contextlib.asynccontextmanager
async def _listening(app: PushApp, settings: Settings, telemetry: Telemetry) -> AsyncIterator[None]:
    """Serve the app, with `/metrics` if the settings want it, for as long as the block runs."""
    async with serving(
        telemetry.add_metrics_route(app.asgi()),
        host=settings.host,
        port=settings.port,
        grace=RESPONSE_GRACE,
    ):
        yield


class HoldEverything:
    """A handler that holds every message, for a relay with bad settings."""

    def __init__(self) -> None:
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def begin(self, message: Message, _caller: Caller) -> Rest:
        """Begin nothing: the rest waits until it is cancelled."""
        return partial(self._hold, message)

    async def _hold(self, message: Message) -> Outcome:
        self._count += 1
        try:
            await asyncio.Event().wait()
        finally:
            self._count -= 1
        raise AssertionError(message)  # the event is never set
