"""Telemetry, wired: facts become metrics and log lines, requests become spans."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from relay.app.destinations.connections import RegisterSecret, ignore_secret
from relay.app.forwarding import EventForwarder
from relay.aws.cloudwatch import has_credentials, put_metrics
from relay.aws.errors import AwsError
from relay.aws.references import parse_reference
from relay.aws.session import SharedSession
from relay.delivery.handler import Handler
from relay.model.destination import Destination
from relay.model.facts import Observe
from relay.model.trace_context import TracedDestination
from relay.settings.model import Settings
from relay.telemetry import metrics
from relay.telemetry.cloudwatch import CloudWatchSink, EmfAgentSink, EmfLineSink, append_to
from relay.telemetry.flusher import Flusher, gauges
from relay.telemetry.log import Log, open_log
from relay.telemetry.log_observer import LogObserver, message_filter
from relay.telemetry.observers import Observers
from relay.telemetry.otlp_extra import ExtraMissing, import_otlp
from relay.telemetry.prometheus import App, PrometheusSink
from relay.telemetry.recorder import Recorder
from relay.telemetry.redaction import Redactor
from relay.telemetry.report import Report, Sink, SinkError, State, Window

_logger = logging.getLogger(__name__)


class Nowhere:
    """The sink of those who want none."""

    async def put(self, report: Report) -> None:
        """Forget it."""


class WithCredentials:
    """CloudWatch if there are AWS credentials when the first report comes, else nowhere."""

    def __init__(self, session: SharedSession) -> None:
        self._session = session
        self._chosen: Sink | None = None

    async def put(self, report: Report) -> None:
        """Pass the report on."""
        if self._chosen is None:
            self._chosen = await self._choose()
        await self._chosen.put(report)

    async def _choose(self) -> Sink:
        try:
            found = await has_credentials(await self._session())
        except AwsError as error:
            raise SinkError(error.sentence) from error
        if not found:
            _logger.info("no AWS credentials, so metrics go nowhere: see RELAY_METRICS")
        return _cloudwatch(self._session) if found else Nowhere()


def sink(settings: Settings, session: SharedSession, screen: Callable[[str], None]) -> Sink:
    """Where metrics go. Prometheus fetches them by itself and is none of these.

    Raises:
        ExtraMissing: the libraries for it are not installed.
    """
    if settings.metrics == "auto":
        return WithCredentials(session)
    if settings.metrics == "cloudwatch":
        return _cloudwatch(session)
    if settings.metrics == "emf":
        return _emf(settings, screen)
    if settings.metrics == "otlp":
        make = import_otlp("relay.telemetry.otlp", "OtlpSink", "RELAY_METRICS=otlp")
        made: Sink = make(settings.service)
        return made
    return Nowhere()


def _cloudwatch(session: SharedSession) -> Sink:
    async def put(namespace: str, entries: Sequence[dict[str, Any]]) -> None:
        try:
            await put_metrics(await session(), namespace, entries)
        except AwsError as error:
            raise SinkError(error.sentence) from error

    return CloudWatchSink(put)


def _emf(settings: Settings, screen: Callable[[str], None]) -> Sink:
    if settings.emf_target == "stdout":
        return EmfLineSink(screen)
    if "://" not in settings.emf_target:
        return EmfLineSink(append_to(Path(settings.emf_target)))
    parts = urlsplit(settings.emf_target)
    return EmfAgentSink(parts.hostname or "", parts.port or 0, settings.emf_log_group)


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
    wrap: Callable[[Destination], Destination]
    add_metrics_route: Callable[[App], App]
    state: Callable[[], State] = State
    register_secret: RegisterSecret = ignore_secret


@contextlib.asynccontextmanager
async def start_telemetry(settings: Settings) -> AsyncIterator[Telemetry]:
    """Logs, metrics and traces as the settings want them, for as long as the block runs.

    Leaving sends what was counted last and writes what was logged last.
    """
    async with AsyncExitStack() as stack:
        redactor = _redactor(settings)
        log = stack.enter_context(_log_of(settings, redactor))
        recorder = Recorder(slo=settings.slo)
        lines = LogObserver(
            log, message_filter=message_filter(settings.log_messages), payload=settings.log_payload
        )
        observers = Observers(
            recorder,
            lines,
            soon=asyncio.get_running_loop().call_soon,
            failed=lambda: recorder.count(metrics.TELEMETRY_FAILURES),
        )
        telemetry = Telemetry(
            observe=observers.observe,
            wrap=TracedDestination,
            add_metrics_route=lambda app: app,
            register_secret=redactor.register_secret,
        )

        def state() -> State:
            return telemetry.state()

        def tell(window: Window, now: State) -> None:
            recorder.count(metrics.LOG_LINES_LOST, log.take_lost())
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
            telemetry.add_metrics_route = asked.add_metrics_route
        await stack.enter_async_context(_flushing(flusher))
        stack.callback(observers.tell)
        if settings.traces == "otlp":
            await _trace(settings, telemetry, recorder, stack)
        yield telemetry


def relay_state(
    forwarder: EventForwarder, handler: Handler, concurrency: Callable[[], int]
) -> State:
    """What the relay is doing."""
    held = handler.status
    return State(
        in_flight=held.in_flight,
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
        log_format=settings.log_format,
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
        make = import_otlp("relay.telemetry.spans", "Spans", "RELAY_TRACES=otlp")
    except ExtraMissing as error:
        _log.warning("no traces: %s", error)
        return
    loop = asyncio.get_running_loop()
    count = metrics.TELEMETRY_FAILURES
    # Exports end in a thread, and counting is not for threads.
    spans = make(settings.service, lambda: loop.call_soon_threadsafe(recorder.count, count))
    stack.push_async_callback(spans.aclose)
    telemetry.wrap = spans.wrap


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
    except AwsError:
        return None
