"""Pull mode, wired: from the settings to a clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from starlette.applications import Starlette

from relay.app.core import open_core
from relay.app.readiness import ReceiveStatus, poller_readiness, readiness
from relay.app.telemetry import Telemetry, start_telemetry
from relay.aws.errors import AwsError
from relay.aws.session import open_session
from relay.aws.sqs import Queue, open_queue
from relay.aws.sqs_values import QueueAttributes
from relay.http.server import Readiness, health_routes, serving
from relay.process import on_stop_signal, tune_garbage_collector, unless_stopped
from relay.settings.model import Settings
from relay.sources.poller import Limits, Poller
from relay.sources.poller.receive_health import ReceiveHealth

FLUSH = 2.0
"""Seconds for the last copies to the dead-letter queue, after the poller has left."""

HANDLED_SHARE = 0.8
"""Of what is in hand; the rest waits, so that fairness between tenants has a choice."""
_log = logging.getLogger(__name__)


async def poll(settings: Settings) -> None:
    """Poll until a signal, then drain; a second signal releases what is in hand and goes.

    Raises:
        OSError: the address for its endpoints cannot be bound.
    """
    asked = asyncio.Event()
    pollers: list[Poller] = []

    def stop() -> None:
        asked.set()
        for poller in pollers:
            poller.stop()

    async with AsyncExitStack() as stack:
        stack.enter_context(on_stop_signal(stop))
        telemetry = await stack.enter_async_context(start_telemetry(settings))
        answers = await stack.enter_async_context(answering(settings, telemetry))
        receive_health = ReceiveHealth(observe=telemetry.observe)
        _tell(telemetry, answers, lambda: receive_health)
        found = await unless_stopped(asked, _found(settings, stack, receive_health))
        if found is None:
            return
        queue, attributes = found
        # The queue's own retention is what ends a wait, whatever the settings were told.
        real = settings.model_copy(update={"queue_retention": attributes.retention})
        core = await stack.enter_async_context(open_core(real, telemetry))
        answers.ready = readiness(core.forwarder, core.handler)
        poller = Poller(
            queue,
            core.handler.handle_exclusive,
            gate=core.forwarder,
            limits=_limits(settings),
            observe=telemetry.observe,
            retention=core.handler.retention,
        )
        pollers.append(poller)
        _tell(telemetry, answers, lambda: poller.status)
        _log.info("polling %s", queue.url)
        if asked.is_set():
            poller.stop()
        tune_garbage_collector()
        await poller.run()
        await core.stop(FLUSH)


def _tell(telemetry: Telemetry, answers: Answering, receiving: Callable[[], ReceiveStatus]) -> None:
    """Let metrics and `/ready` show what the way in from the queue is."""
    state, ready = telemetry.state, answers.ready
    telemetry.state = lambda: replace(state(), receiving=receiving().state)
    answers.ready = poller_readiness(ready, receiving)


async def _found(
    settings: Settings, stack: AsyncExitStack, receive_health: ReceiveHealth
) -> tuple[Queue, QueueAttributes]:
    """The queue, looked for until SQS answers: what is wrong may get mended."""
    while True:
        await receive_health.clear()
        trying = AsyncExitStack()
        try:
            session = await trying.enter_async_context(open_session())
            queue = await trying.enter_async_context(open_queue(session, settings.queue_url or ""))
            attributes = await queue.attributes()
        except AwsError as error:
            await trying.aclose()
            receive_health.failed("find", error)
        else:
            await stack.enter_async_context(trying)
            receive_health.passed("find")
            return queue, attributes


def _limits(settings: Settings) -> Limits:
    return Limits(
        max_in_flight=settings.max_in_flight,
        max_in_flight_bytes=settings.max_in_flight_bytes,
        handler_concurrency=settings.handler_concurrency
        or max(1, int(settings.max_in_flight * HANDLED_SHARE)),
        receivers=settings.receivers,
        drain=settings.drain_deadline,
        park=settings.fifo_stop_on_reject,
    )


def looking() -> tuple[bool, Mapping[str, Any]]:
    """The answer while the queue is being looked for."""
    return False, {"circuit": "closed", "halted": False, "reason": "the queue is being looked for"}


@dataclass(slots=True)
class Answering:
    """What `GET /ready` says; replaced when there is more to say."""

    ready: Readiness = looking

    def now(self) -> tuple[bool, Mapping[str, Any]]:
        """The answer of this moment."""
        return self.ready()


@contextlib.asynccontextmanager
async def answering(settings: Settings, telemetry: Telemetry) -> AsyncIterator[Answering]:
    """Serve `/health`, `/ready` and perhaps `/metrics`, where PORT is set or Prometheus is asked.

    Otherwise nothing listens, so that any number of pollers can share a machine.

    Raises:
        OSError: the address cannot be bound.
    """
    answers = Answering()
    if settings.metrics != "prometheus" and "port" not in settings.model_fields_set:
        yield answers
        return
    app = Starlette(routes=health_routes(answers.now))
    async with serving(telemetry.add_metrics_route(app), host=settings.host, port=settings.port):
        yield answers
