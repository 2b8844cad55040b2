"""Push mode, wired: the app on its socket, from the settings to a clean stop."""

from __future__ import annotations

import asyncio
import logging

from relay.app.core import open_core
from relay.app.readiness import misconfigured, named, readiness
from relay.app.telemetry import Telemetry, start_telemetry
from relay.http.server import serving
from relay.model.message import Message
from relay.model.outcome import Outcome
from relay.process import on_stop_signal, tune_garbage_collector
from relay.settings.loading import Loaded
from relay.settings.model import Settings
from relay.sources.sqsd import PushApp
from relay.telemetry.report import State

ANSWERING = 5.0
"""Seconds that the last answers may take on their way out."""
_log = logging.getLogger(__name__)


async def serve(loaded: Loaded, mistakes: tuple[str, ...]) -> None:
    """Serve until a signal. With mistakes in the settings, hold every request and name them.

    Raises:
        OSError: the address cannot be bound.
    """
    stop = asyncio.Event()
    with on_stop_signal(stop.set):
        async with start_telemetry(loaded.settings) as telemetry:
            if mistakes:
                await _halted(loaded.settings, mistakes, telemetry, stop)
            else:
                await _running(loaded.settings, telemetry, stop)


async def _running(settings: Settings, telemetry: Telemetry, stop: asyncio.Event) -> None:
    async with open_core(settings, telemetry, pushed=True) as core:
        app = PushApp(
            core.handler.handle,
            hold=settings.clocks.outcome_timeout,
            ready=readiness(core.forwarder, core.handler),
            task_paths=frozenset(settings.task_paths),
        )
        async with serving(
            telemetry.add_metrics_route(app.asgi()),
            host=settings.host,
            port=settings.port,
            grace=ANSWERING,
        ) as port:
            _log.info("listening on %s:%s", settings.host, port)
            tune_garbage_collector()
            await stop.wait()
            _log.info("stopping: finishing what is on the wire")
            app.stop()
            await core.stop(min(settings.drain_deadline, settings.request_timeout))
            app.release()


async def _halted(
    settings: Settings, mistakes: tuple[str, ...], telemetry: Telemetry, stop: asyncio.Event
) -> None:
    """Answer 200 to nothing: a deployment with a bad setting must not lose a message."""
    for mistake in mistakes:
        _log.error("halted: %s", mistake)
    held = _Held()
    telemetry.state = lambda: State(
        in_flight=len(held), problem=mistakes[0], setting=named(mistakes[0])
    )
    app = PushApp(held, hold=settings.hold, ready=misconfigured(mistakes, held))
    async with serving(
        telemetry.add_metrics_route(app.asgi()),
        host=settings.host,
        port=settings.port,
        grace=ANSWERING,
    ):
        await stop.wait()
        app.stop()
        app.release()


class _Held:
    """Messages of a relay that cannot handle any."""

    def __init__(self) -> None:
        self._count = 0

    def __len__(self) -> int:
        return self._count

    async def __call__(self, message: Message) -> Outcome:
        """Wait until cancelled."""
        self._count += 1
        try:
            await asyncio.Event().wait()
        finally:
            self._count -= 1
        raise AssertionError(message)  # an event that nobody sets
