"""Spans of the uploads and of the functions, all in the trace that begins with the upload.

The upload puts its `traceparent` (W3C Trace Context) into an attribute of the message. With
`RELAY_TRACE_IN_DATA` the relay adds it to the event's data, because Inngest 1.43 gives a function a
trace of its own. Each event that a function sends carries it on.

Nothing is recorded unless OpenTelemetry's own variable `OTEL_EXPORTER_OTLP_ENDPOINT` is set.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import TypeVar

import inngest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

T = TypeVar("T")

NAME = "traceparent"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"

_carried: ContextVar[str] = ContextVar("traceparent", default="")
_propagator = TraceContextTextMapPropagator()


def enabled() -> bool:
    """Whether there is a collector to send spans to."""
    return bool(os.environ.get(ENDPOINT))


@contextlib.contextmanager
def exporting(service: str) -> Iterator[None]:
    """Send this process's spans to the collector while the block runs."""
    if not enabled():
        yield
        return
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()


@contextlib.contextmanager
def uploading(sermon: str) -> Iterator[str]:
    """The first span of a trace, around an upload; its traceparent, empty without a collector."""
    with _tracer().start_as_current_span("upload", kind=trace.SpanKind.PRODUCER) as span:
        span.set_attribute("sermon", sermon)
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
        yield carrier.get(NAME, "")


def traced(
    name: str, handler: Callable[[inngest.Context], Awaitable[T]]
) -> Callable[[inngest.Context], Awaitable[T]]:
    """The function with a span around each of its invocations; there is one for each step."""

    async def run(ctx: inngest.Context) -> T:
        parent = ctx.event.data.get(NAME)
        carried = parent if isinstance(parent, str) else ""
        token = _carried.set(carried)
        try:
            with _tracer().start_as_current_span(
                name,
                context=_propagator.extract({NAME: carried} if carried else {}),
                kind=trace.SpanKind.CONSUMER,
                attributes={
                    "inngest.run.id": ctx.run_id,
                    "messaging.message.id": ctx.event.id or "",
                },
                # The SDK ends an invocation after each step with an exception of its own.
                record_exception=False,
                set_status_on_exception=False,
            ):
                return await handler(ctx)
        finally:
            _carried.reset(token)

    return run


def carried() -> dict[str, str]:
    """What an event that a function sends has in its data, so that the next one continues."""
    return {NAME: _carried.get()} if _carried.get() else {}


def _tracer() -> trace.Tracer:
    return trace.get_tracer("sermons")
