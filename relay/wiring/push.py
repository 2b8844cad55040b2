"""Push mode, wired: the app on its socket, from the settings to a clean stop."""

from __future__ import annotations

import asyncio
import logging

from relay.http_server import serving
from relay.message import Message, Outcome
from relay.settings import Loaded, Settings
from relay.sqsd import PushApp
from relay.stopping import on_stop_signal
from relay.telemetry.report import State
from relay.wiring.core import running
from relay.wiring.garbage import tame_garbage_collector
from relay.wiring.readiness import misconfigured, readiness
from relay.wiring.telemetry import Telemetry, telling

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
        async with telling(loaded.settings) as telemetry:
            if mistakes:
                await _halted(loaded.settings, mistakes, telemetry, stop)
            else:
                await _running(loaded.settings, telemetry, stop)


async def _running(settings: Settings, telemetry: Telemetry, stop: asyncio.Event) -> None:
    async with running(settings, telemetry, pushed=True) as core:
        app = PushApp(
            core.handler.handle,
            hold=settings.clocks.patience,
            ready=readiness(core.forwarder, core.handler),
            task_paths=frozenset(settings.task_paths),
        )
        async with serving(
            telemetry.beside(app.asgi()), host=settings.host, port=settings.port, grace=ANSWERING
        ) as port:
            _log.info("listening on %s:%s", settings.host, port)
            tame_garbage_collector()
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
    telemetry.state = lambda: State(problem=mistakes[0])
    app = PushApp(_wait, hold=settings.hold, ready=misconfigured(mistakes))
    async with serving(
        telemetry.beside(app.asgi()), host=settings.host, port=settings.port, grace=ANSWERING
    ):
        await stop.wait()
        app.stop()
        app.release()


async def _wait(_message: Message) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError  # an event that nobody sets
