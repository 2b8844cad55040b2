"""Builds `relay poll` (pull mode): a `Poller` receives messages and hands them to the core.

settings -> telemetry -> health endpoints -> queue -> core (see `relay.app.core`) -> `Poller`
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from relay.app.core import open_core
from relay.app.pause import watching
from relay.app.readiness import ReceiveStatus, poller_readiness
from relay.app.telemetry import Telemetry, start_telemetry
from relay.aws.errors import AwsError
from relay.aws.references import same_queue
from relay.aws.session import open_session
from relay.aws.sqs import Queue, open_queue
from relay.aws.sqs_values import QueueAttributes
from relay.process import on_hangup, on_stop_signal, tune_garbage_collector, unless_stopped
from relay.settings.conflicts import ITS_OWN_DLQ
from relay.settings.model import Settings
from relay.sources.poller import Limits, Poller
from relay.sources.poller.receive_gate import PausableGate, ReceiveHealth

if TYPE_CHECKING:
    from relay.http.server import Readiness

HANDLER_SHARE = 0.8
"""Of the messages in flight. The others wait, so that a free slot can go to another tenant."""

_log = logging.getLogger(__name__)


class QueueRefused(Exception):
    """The queue cannot be polled with these settings. The text is a sentence for the operator."""


class Stop:
    """A request to stop, from a signal or from a supervisor."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self._poller: Poller | None = None
        self._released = False

    def __call__(self) -> None:
        """Stop in order; from the second call on at once."""
        if self.requested.is_set():
            self.release()
        self.request()

    def request(self) -> None:
        """Stop in order. Further calls change nothing."""
        if not self.requested.is_set():
            self.requested.set()
            if self._poller is not None:
                self._poller.stop()

    def release(self) -> None:
        """Release what is in flight, after `request`."""
        if not self._released and self._poller is not None:
            self._poller.stop()
        self._released = True

    def set_poller(self, poller: Poller) -> None:
        """The poller that is to stop, at once if a stop was requested before."""
        self._poller = poller
        for asked in (self.requested.is_set(), self._released):
            if asked:
                poller.stop()


async def poll(settings: Settings) -> None:
    """Poll until a signal, then drain. A second signal releases what is in flight at once.

    Raises:
        OSError: the address for the health endpoints cannot be bound.
        QueueRefused: the queue is its own dead-letter queue.
    """
    stop = Stop()
    async with AsyncExitStack() as stack:
        stack.enter_context(on_stop_signal(stop))
        stack.enter_context(on_hangup(stop))
        telemetry = await stack.enter_async_context(start_telemetry(settings))
        endpoints = await stack.enter_async_context(health_endpoints(settings, telemetry))
        await consume(settings, telemetry, endpoints, stop)


async def consume(
    settings: Settings,
    telemetry: Telemetry,
    endpoints: HealthEndpoints,
    stop: Stop,
    *,
    warn: bool = True,
) -> None:
    """Consume the queue until a stop is requested, then drain.

    `warn` is whether the limits of the destinations are logged.

    Raises:
        QueueRefused: the queue is its own dead-letter queue.
    """
    async with AsyncExitStack() as stack:
        receive_health = ReceiveHealth(observe=telemetry.observe)
        _show_receiving(telemetry, endpoints, lambda: receive_health)
        opening = _open_queue(settings, stack, receive_health)
        opened = await unless_stopped(stop.requested, opening)
        if opened is None:
            return
        queue, attributes = opened
        if settings.dlq_url is not None and same_queue(settings.dlq_url, attributes.arn):
            raise QueueRefused(ITS_OWN_DLQ)
        # Waiting must end by the queue's own limits, whatever the settings say.
        limits: dict[str, object] = {"queue_retention": attributes.retention}
        if attributes.redrive is not None:
            limits["max_receive_count"] = attributes.redrive.max_receive_count
        real = settings.model_copy(update=limits)
        pause = await stack.enter_async_context(watching(queue.tags, telemetry.observe))
        core = await stack.enter_async_context(open_core(real, telemetry, pause=pause, warn=warn))
        endpoints.ready = core.readiness
        poller = Poller(
            queue,
            core.handler.handle_exclusive,
            begin=core.handler.begin_exclusive,
            gate=PausableGate(core.forwarder, pause),
            limits=_limits(settings),
            observe=telemetry.observe,
            retention=core.handler.retention,
        )
        _show_receiving(telemetry, endpoints, lambda: poller.status)
        _log.info("polling %s", queue.url)
        stop.set_poller(poller)
        tune_garbage_collector()
        await poller.run()
        await core.stop(0.0)


def _show_receiving(
    telemetry: Telemetry, endpoints: HealthEndpoints, status: Callable[[], ReceiveStatus]
) -> None:
    """Show in the metrics and in `/ready` whether the poller can receive."""
    state, ready = telemetry.state, endpoints.ready
    telemetry.state = lambda: replace(state(), receiving=status().state)
    endpoints.ready = poller_readiness(ready, status)


async def _open_queue(
    settings: Settings, stack: AsyncExitStack, receive_health: ReceiveHealth
) -> tuple[Queue, QueueAttributes]:
    """The queue. Retried until SQS answers: a missing queue or permission may get fixed."""
    while True:
        await receive_health.wait_clear()
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
            receive_health.succeeded("find")
            return queue, attributes


def _limits(settings: Settings) -> Limits:
    return Limits(
        max_in_flight=settings.max_in_flight,
        max_in_flight_bytes=settings.max_in_flight_bytes,
        handler_concurrency=settings.handler_concurrency
        or max(1, int(settings.max_in_flight * HANDLER_SHARE)),
        receivers=settings.receivers,
        drain=settings.drain_deadline,
        stop_on_reject=settings.fifo_stop_on_reject,
    )


def opening_queue() -> tuple[bool, Mapping[str, Any]]:
    """The answer of `/ready` until the queue has been opened."""
    return False, {"circuit": "closed", "halted": False, "reason": "the queue is not open yet"}


def _always() -> bool:
    """The answer of `/health`: what answers at all runs."""
    return True


@dataclass(slots=True)
class HealthEndpoints:
    """The health endpoints of a poller; `ready` and `alive` are replaced as parts are started."""

    ready: Readiness = opening_queue
    alive: Callable[[], bool] = _always

    def answer(self) -> tuple[bool, Mapping[str, Any]]:
        """The current answer of `GET /ready`."""
        return self.ready()

    def living(self) -> bool:
        """The current answer of `GET /health`."""
        return self.alive()


@contextlib.asynccontextmanager
async def health_endpoints(
    settings: Settings, telemetry: Telemetry
) -> AsyncIterator[HealthEndpoints]:
    """Serve `/health`, `/ready` and maybe `/metrics`, if PORT is set or metrics are for Prometheus.

    Otherwise no port is opened, so that any number of pollers can share a machine.

    Raises:
        OSError: the address cannot be bound.
    """
    endpoints = HealthEndpoints()
    if settings.metrics != "prometheus" and "port" not in settings.model_fields_set:
        yield endpoints
        return
    # Importing a server takes 5 MB, and most pollers have none.
    from starlette.applications import Starlette  # noqa: PLC0415 - see above

    from relay.http.server import health_routes, serving  # noqa: PLC0415 - see above

    app = Starlette(routes=health_routes(endpoints.answer, endpoints.living))
    async with serving(telemetry.add_metrics_route(app), host=settings.host, port=settings.port):
        yield endpoints
