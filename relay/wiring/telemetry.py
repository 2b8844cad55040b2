"""Telemetry, wired: facts become metrics and log lines, requests become spans."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from relay.aws.errors import QueueError
from relay.aws.references import parse_reference
from relay.facts import Observe
from relay.handler import Handler
from relay.message import Destination
from relay.settings import Settings
from relay.telemetry import table
from relay.telemetry.carrying import Carrying
from relay.telemetry.extra import ExtraMissing, needing_otlp
from relay.telemetry.flusher import Flusher, gauges
from relay.telemetry.log import Log, open_log
from relay.telemetry.log_observer import LogObserver
from relay.telemetry.observers import Observers
from relay.telemetry.recorder import Recorder
from relay.telemetry.redaction import Redactor
from relay.telemetry.report import Sink, State
from relay.telemetry.sampling import chosen
from relay.telemetry.sinks.prometheus import App, PrometheusSink
from relay.telemetry.window import Window
from relay.wiring.kept_secret import Learn, unlearned
from relay.wiring.session import SharedSession
from relay.wiring.sink import Nowhere, sink
from relay.wiring.ways import Way

AWS_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Telemetry:
    """What the parts are given.

    Attributes:
        observe: takes every fact.
        around: makes a destination carry traces, and makes spans of its requests if wanted.
        beside: adds `GET /metrics` to an application if Prometheus is to ask for it.
        state: what the relay is doing; set once it does anything.
        learn: keeps a secret that was looked up out of every line.
    """

    observe: Observe
    around: Callable[[Destination], Destination]
    beside: Callable[[App], App]
    state: Callable[[], State] = State
    learn: Learn = unlearned


@contextlib.asynccontextmanager
async def telling(settings: Settings) -> AsyncIterator[Telemetry]:
    """Logs, metrics and traces as the settings want them, for as long as the block runs.

    Leaving sends what was counted last and writes what was logged last.
    """
    async with AsyncExitStack() as stack:
        redactor = _redactor(settings)
        log = stack.enter_context(_log_of(settings, redactor))
        recorder = Recorder(slo=settings.slo)
        lines = LogObserver(log, chosen=chosen(settings.log_messages), payload=settings.log_payload)
        observers = Observers(
            recorder,
            lines,
            soon=asyncio.get_running_loop().call_soon,
            failed=lambda: recorder.count(table.TELEMETRY_FAILURES),
        )
        telemetry = Telemetry(
            observe=observers.observe, around=Carrying, beside=lambda app: app, learn=redactor.learn
        )

        def state() -> State:
            return telemetry.state()

        def tell(window: Window, now: State) -> None:
            recorder.count(table.LOG_LINES_LOST, log.take_lost())
            lines.tell(window, now)

        asked = PrometheusSink(recorder, lambda: gauges(state()), lambda: flusher.dimensions)
        prometheus = settings.metrics == "prometheus"
        flusher = Flusher(
            recorder,
            asked if prometheus else _sink(settings, SharedSession(stack), log),
            service=settings.service,
            queue=_queue_name(settings),
            state=state,
            tell=tell,
        )
        if prometheus:
            telemetry.beside = asked.beside
        await stack.enter_async_context(_flushing(flusher))
        stack.callback(observers.tell)
        if settings.traces == "otlp":
            await _trace(settings, telemetry, recorder, stack)
        yield telemetry


def state_of(forwarder: Way, handler: Handler, concurrency: Callable[[], int]) -> State:
    """What the relay is doing."""
    held = handler.status
    return State(
        in_hand=held.in_hand,
        concurrency=concurrency(),
        circuit=forwarder.state.circuit,
        problem=held.problem,
        setting=held.setting,
    )


def _redactor(settings: Settings) -> Redactor:
    given = (getattr(settings, name) for name in type(settings).model_fields)
    secrets = [value.get_secret_value() for value in given if isinstance(value, SecretStr)]
    return Redactor(secrets + [os.environ.get(name, "") for name in AWS_SECRETS])


def _log_of(settings: Settings, redactor: Redactor) -> contextlib.AbstractContextManager[Log]:
    return open_log(
        service=settings.service,
        level=settings.log_level,
        form=settings.log_format,
        file=Path(settings.log_file) if settings.log_file else None,
        redactor=redactor,
    )


def _sink(settings: Settings, session: SharedSession, log: Log) -> Sink:
    try:
        return sink(settings, session, log.metrics)
    except ExtraMissing as error:
        _log.warning("no metrics: %s", error)
        return Nowhere()


async def _trace(
    settings: Settings, telemetry: Telemetry, recorder: Recorder, stack: AsyncExitStack
) -> None:
    try:
        make = needing_otlp("relay.telemetry.spans", "Spans", "RELAY_TRACES=otlp")
    except ExtraMissing as error:
        _log.warning("no traces: %s", error)
        return
    loop = asyncio.get_running_loop()
    count = table.TELEMETRY_FAILURES
    # Exports end in a thread, and counting is not for threads.
    spans = make(settings.service, lambda: loop.call_soon_threadsafe(recorder.count, count))
    stack.push_async_callback(spans.aclose)
    telemetry.around = spans.around


@contextlib.asynccontextmanager
async def _flushing(flusher: Flusher) -> AsyncIterator[None]:
    task = asyncio.create_task(flusher.run(), name="metrics")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        await flusher.flush()


def _queue_name(settings: Settings) -> str | None:
    if settings.queue_url is None:
        return None
    try:
        return parse_reference(settings.queue_url).name
    except QueueError:
        return None
