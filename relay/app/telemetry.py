"""Sets up metrics, logs and traces from the settings."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from relay.app.destinations.connections import RegisterSecret, ignore_secret
from relay.app.forwarding import EventForwarder
from relay.app.redaction import create_redactor
from relay.aws.cloudwatch import has_credentials, put_metrics
from relay.aws.errors import AwsError
from relay.aws.references import parse_reference
from relay.aws.session import SharedSession
from relay.delivery.handler import Handler
from relay.model.destination import Destination
from relay.model.facts import Observe
from relay.model.trace_context import TracedDestination
from relay.output.redaction import Redactor
from relay.settings.clocks import LAST_REPORT
from relay.settings.model import Settings
from relay.telemetry import metrics
from relay.telemetry.cloudwatch import CloudWatchSink, EmfAgentSink, EmfLineSink, appender
from relay.telemetry.flusher import Flusher, gauges
from relay.telemetry.log import Log, open_log
from relay.telemetry.log_observer import LogObserver, message_filter
from relay.telemetry.observers import Observers
from relay.telemetry.otlp_extra import ExtraMissing, import_otlp
from relay.telemetry.prometheus import App, PrometheusSink
from relay.telemetry.recorder import Recorder
from relay.telemetry.report import Report, Sink, SinkError, State, Window
from relay.telemetry.worker_reports import REPORT_SECONDS, OneOfSeveral

_log = logging.getLogger(__name__)


async def _nothing() -> None:
    """Do nothing."""


@dataclass(kw_only=True)
class Telemetry:
    """What the other parts of the relay use of telemetry.

    Attributes:
        observe: takes every fact.
        wrap: makes a destination propagate traces, and create spans if that is configured.
        add_metrics_route: adds `GET /metrics` to an application if Prometheus is configured.
        state: returns the relay's current state; set by whoever runs the relay.
        register_secret: redacts a looked-up secret in every line from then on.
        add_counts: adds the counts of another process to the metrics.
        flush: sends the metrics so far and writes the log, for a process that may be frozen.
    """

    observe: Observe
    wrap: Callable[[Destination], Destination]
    add_metrics_route: Callable[[App], App]
    state: Callable[[], State] = State
    register_secret: RegisterSecret = ignore_secret
    add_counts: Callable[[Window], None] = lambda _window: None
    flush: Callable[[], Awaitable[None]] = _nothing


@contextlib.asynccontextmanager
async def start_telemetry(
    settings: Settings, *, timer: bool = True, several: OneOfSeveral | None = None
) -> AsyncIterator[Telemetry]:
    """Run logs, metrics and traces for as long as the block runs.

    At the end the last metrics are sent and the last log lines written. Without `timer`, metrics
    are sent only by `flush`. `several` is for a relay of several processes.
    """
    async with AsyncExitStack() as stack:
        redactor = create_redactor(settings)
        worker = None if several is None else several.sink
        log = stack.enter_context(_open_log(settings, redactor, several))
        recorder = Recorder(slo=settings.slo)
        lines = LogObserver(
            log,
            message_filter=message_filter(settings.log_messages),
            payload=settings.log_payload,
            tell=None if worker is None else _redacted(worker.tell, redactor),
        )
        observers = Observers(
            recorder,
            lines,
            call_soon=asyncio.get_running_loop().call_soon,
            on_error=lambda: recorder.count(metrics.TELEMETRY_FAILURES),
        )
        telemetry = Telemetry(
            observe=observers.observe,
            wrap=TracedDestination,
            add_metrics_route=lambda app: app,
            register_secret=redactor.register_secret,
            add_counts=recorder.add,
        )

        def state() -> State:
            return telemetry.state()

        def on_flush(window: Window, now: State) -> None:
            recorder.count(metrics.LOG_LINES_LOST, log.take_lost_lines())
            lines.on_flush(window, now)

        prometheus = PrometheusSink(recorder, lambda: gauges(state()), lambda: flusher.dimensions)
        scraped = settings.metrics == "prometheus"
        flusher = Flusher(
            recorder,
            worker or (prometheus if scraped else _open_sink(settings, SharedSession(stack), log)),
            service=settings.service,
            queue=_queue_name(settings),
            state=state,
            on_flush=on_flush,
            every=REPORT_SECONDS if worker else metrics.FLUSH_SECONDS,
            running=several.running if several else lambda: True,
        )
        if worker is not None:
            worker.state = state
        elif scraped:
            telemetry.add_metrics_route = prometheus.add_metrics_route
        await stack.enter_async_context(_flushing(flusher, timer=timer))
        stack.callback(observers.flush)

        async def flush() -> None:
            observers.flush()
            await flusher.flush(LAST_REPORT)
            log.flush()

        telemetry.flush = flush
        if settings.traces == "otlp":
            await _start_spans(settings, telemetry, recorder, stack)
        yield telemetry


def relay_state(
    forwarder: EventForwarder,
    handler: Handler,
    concurrency: Callable[[], int],
    stuck: Callable[[], bool],
    unheard: Callable[[], int],
    paused: Callable[[], bool],
) -> State:
    """The relay's current state."""
    status = handler.status
    return State(
        in_flight=status.in_flight,
        concurrency=concurrency(),
        circuit=forwarder.state.circuit,
        problem=status.problem,
        setting=status.setting,
        stuck=stuck(),
        unheard=unheard(),
        paused=paused(),
    )


def create_sink(settings: Settings, session: SharedSession, screen: Callable[[str], None]) -> Sink:
    """The sink that `RELAY_METRICS` selects, except for Prometheus, which scrapes the metrics.

    Raises:
        ExtraMissing: the libraries for it are not installed.
    """
    if settings.metrics == "auto":
        return AutoSink(session)
    if settings.metrics == "cloudwatch":
        return _cloudwatch(session)
    if settings.metrics == "emf":
        return _emf(settings, screen)
    if settings.metrics == "otlp":
        otlp_sink = import_otlp("relay.telemetry.otlp", "OtlpSink", "RELAY_METRICS=otlp")
        created: Sink = otlp_sink(settings.service)
        return created
    return NullSink()


class NullSink:
    """Discards reports, for those who want no metrics."""

    async def put(self, report: Report) -> None:
        """Discard the report."""


class AutoSink:
    """CloudWatch if there are AWS credentials when the first report is sent, else no metrics."""

    def __init__(self, session: SharedSession) -> None:
        self._session = session
        self._sink: Sink | None = None

    async def put(self, report: Report) -> None:
        """Pass the report on."""
        if self._sink is None:
            self._sink = await self._select()
        await self._sink.put(report)

    async def _select(self) -> Sink:
        try:
            found = await has_credentials(await self._session())
        except AwsError as error:
            raise SinkError(error.sentence) from error
        if not found:
            _log.info("no AWS credentials, so no metrics are sent: see RELAY_METRICS")
        return _cloudwatch(self._session) if found else NullSink()


def _open_sink(settings: Settings, session: SharedSession, log: Log) -> Sink:
    try:
        return create_sink(settings, session, log.metrics)
    except ExtraMissing as error:
        _log.warning("no metrics: %s", error)
        return NullSink()


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
        return EmfLineSink(appender(Path(settings.emf_target)))
    parts = urlsplit(settings.emf_target)
    return EmfAgentSink(parts.hostname or "", parts.port or 0, settings.emf_log_group)


async def _start_spans(
    settings: Settings, telemetry: Telemetry, recorder: Recorder, stack: AsyncExitStack
) -> None:
    try:
        create = import_otlp("relay.telemetry.spans", "Spans", "RELAY_TRACES=otlp")
    except ExtraMissing as error:
        _log.warning("no traces: %s", error)
        return
    loop = asyncio.get_running_loop()
    failures = metrics.TELEMETRY_FAILURES
    # Exports end in a thread, and the recorder is not thread-safe.
    spans = create(
        settings.service,
        lambda: loop.call_soon_threadsafe(recorder.count, failures),
        timeout=LAST_REPORT,
    )
    stack.push_async_callback(spans.aclose)
    telemetry.wrap = spans.wrap


@contextlib.asynccontextmanager
async def _flushing(flusher: Flusher, *, timer: bool) -> AsyncIterator[None]:
    run = flusher.run() if timer else asyncio.Event().wait()
    task: asyncio.Task[Any] = asyncio.create_task(run, name="metrics")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        await flusher.flush(LAST_REPORT)


def _redacted(tell: Callable[[Any], None], redactor: Redactor) -> Callable[[Any], None]:
    """Redact in this process, because another one does not know the secrets looked up here."""
    return lambda fact: tell(replace(fact, reason=redactor.redact(fact.reason)))


def _open_log(
    settings: Settings, redactor: Redactor, several: OneOfSeveral | None
) -> contextlib.AbstractContextManager[Log]:
    return open_log(
        service=settings.service,
        level=settings.log_level,
        log_format=settings.log_format,
        file=Path(settings.log_file) if settings.log_file else None,
        redactor=redactor,
        lock=several.lock if several else None,
    )


def _queue_name(settings: Settings) -> str | None:
    if settings.queue_url is None:
        return None
    try:
        return parse_reference(settings.queue_url).name
    except AwsError:
        return None
