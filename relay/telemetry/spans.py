"""Spans over OTLP/HTTP: one for each request, linked to its events' traces. Needs extra `otlp`.

OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER` and others)
configure the export and the sampling.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from relay.model.destination import BatchRefused, Destination, Limits, Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome
from relay.model.trace_context import common_traceparent, current_traceparent
from relay.telemetry.message_line import OUTCOME_WORDS
from relay.telemetry.otlp_extra import silence_exporters, trusted_file

TIMEOUT = 5.0
"""Seconds."""

MAX_LINKS = 1_000
"""Links of a span. OpenTelemetry's default of 128 is only a little more than a usual batch."""


class Spans:
    """Creates spans and exports them in a thread. Spans that do not fit into its queue are dropped.

    Args:
        service: becomes the resource's `service.name`.
        on_error: called, in that thread, for each export that failed.
        timeout: seconds for one export, including its retries, and for those of a stop.
    """

    def __init__(
        self, service: str, on_error: Callable[[], None], *, timeout: float = TIMEOUT
    ) -> None:
        silence_exporters()
        self._timeout = timeout
        self._exporter = _CountingExporter(
            OTLPSpanExporter(certificate_file=trusted_file(), timeout=timeout), on_error
        )
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service}),
            span_limits=SpanLimits(max_links=MAX_LINKS),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))

    def wrap(self, destination: Destination) -> Destination:
        """The destination with a span around each of its requests."""
        return SpanDestination(destination, self._provider.get_tracer("relay"))

    async def aclose(self) -> None:
        """Export what is left until the timeout; after that, only end the open export."""
        ending = asyncio.get_running_loop().call_later(self._timeout, self._exporter.shutdown)
        try:
            await asyncio.to_thread(self._provider.shutdown)
        finally:
            ending.cancel()


class SpanDestination:
    """A destination with a span around each request; the request carries it as its parent."""

    def __init__(self, destination: Destination, tracer: trace.Tracer) -> None:
        self._destination = destination
        self._tracer = tracer

    @property
    def limits(self) -> Limits:
        """The limits of the destination."""
        return self._destination.limits

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Send the events to the destination."""
        with self._tracer.start_as_current_span(
            "relay send",
            context=_parent_context(events),
            kind=trace.SpanKind.PRODUCER,
            links=_links(events),
            attributes={"messaging.batch.message_count": len(events)},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            token = current_traceparent.set(_traceparent(span.get_span_context()))
            try:
                outcomes = await self._destination.send(events)
            except (Unavailable, BatchRefused) as error:
                span.set_status(trace.StatusCode.ERROR, error.reason)
                raise
            finally:
                current_traceparent.reset(token)
            _describe(span, outcomes)
            return outcomes


def _parent_context(events: Sequence[Event]) -> Context:
    """The trace that all events have in common; without one the span starts its own trace."""
    parent = common_traceparent(events)
    if parent is None:
        return Context()
    return trace.set_span_in_context(trace.NonRecordingSpan(_span_context(parent)), Context())


def _links(events: Sequence[Event]) -> list[trace.Link]:
    """One link for each trace among the events, with the message id of its first event."""
    first: dict[str, Event] = {}
    for event in events:
        if event.trace is not None:
            first.setdefault(event.trace, event)
    return [
        trace.Link(_span_context(parent), {"messaging.message.id": event.message_id})
        for parent, event in first.items()
    ]


def _span_context(parent: str) -> trace.SpanContext:
    _, trace_id, span_id, flags = parent.split("-")
    return trace.SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(int(flags, 16)),
    )


def _traceparent(context: trace.SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def _describe(span: trace.Span, outcomes: Sequence[Outcome]) -> None:
    counts = Counter(OUTCOME_WORDS[type(outcome)] for outcome in outcomes)
    for word, count in counts.items():
        span.set_attribute(f"relay.{word}", count)
    if not all(isinstance(outcome, Delivered) for outcome in outcomes):
        span.set_status(trace.StatusCode.ERROR, "not every event was accepted")


class _CountingExporter(SpanExporter):
    """Reports failed exports."""

    def __init__(self, exporter: SpanExporter, on_error: Callable[[], None]) -> None:
        self._exporter = exporter
        self._on_error = on_error

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._on_error()
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()
