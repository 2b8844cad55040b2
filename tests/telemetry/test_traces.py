"""The producer's trace is propagated: to the request, to the data if configured, and to spans."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from relay.destinations.inngest.event_api import Inngest
from relay.envelope import Decoded, Rules, decode
from relay.local.inngest import InngestServer
from relay.model.destination import Limits, Unavailable
from relay.model.event import Event
from relay.model.message import Attribute
from relay.model.outcome import Delivered, Outcome, Retry
from relay.model.trace_context import (
    TracedDestination,
    current_traceparent,
    from_x_ray,
    traceparent_headers,
    with_traceparent,
)
from relay.telemetry.spans import Spans
from tests.telemetry.otlp_collector import otlp_collector
from tests.telemetry.samples import TRACE, event, message

OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
X_RAY = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


class RecordingDestination:
    """Records the trace parent of each request and returns or raises the given answers."""

    limits = Limits()

    def __init__(self, *answers: Outcome | Exception) -> None:
        self.answers = list(answers)
        self.traceparents: list[str | None] = []

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        self.traceparents.append(traceparent_headers().get("traceparent"))
        answer = self.answers.pop(0) if self.answers else Delivered()
        if isinstance(answer, Exception):
            raise answer
        return [answer] * len(events)


class TestReading:
    @pytest.mark.parametrize(
        ("header", "parent"),
        [
            (X_RAY, "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"),
            (
                "Sampled=0; Parent=53995c3f42cd8ad8; Root=1-5759e988-bd862e3fe1be46a994272793",
                "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-00",
            ),
            (
                "Self=1-x;Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=?",
                "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-00",
            ),
            ("Root=1-5759e988-bd862e3fe1be46a994272793", None),
            ("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=0000000000000000", None),
            ("Root=1-00000000-000000000000000000000000;Parent=53995c3f42cd8ad8", None),
            ("Root=2-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8", None),
            ("", None),
            (None, None),
        ],
    )
    def test_the_x_ray_header_has_the_same_trace_in_another_format(
        self, header: str | None, parent: str | None
    ) -> None:
        assert from_x_ray(header) == parent

    @given(st.text())
    def test_any_header_is_valid_or_none(self, header: str) -> None:
        found = from_x_ray(header)
        assert found is None or len(found) == 55

    def test_the_producers_own_header_wins_over_x_ray(self) -> None:
        body = b'{"name":"a/b"}'
        own = {"traceparent": Attribute("String", TRACE)}
        both = decode(message(body=body, attributes=own, trace_header=X_RAY), Rules())
        only = decode(message(body=body, trace_header=X_RAY), Rules())
        assert isinstance(both, Decoded)
        assert isinstance(only, Decoded)
        assert (both.events[0].trace, only.events[0].trace) == (TRACE, from_x_ray(X_RAY))


class TestInTheData:
    @pytest.mark.parametrize(
        ("data", "found"),
        [
            (b'{"a": 1.10}', b'{"traceparent":"%b","a": 1.10}'),
            (b"{}", b'{"traceparent":"%b"}'),
            (b"{ }", b'{"traceparent":"%b" }'),
            (b' {\n "a":[ ] } ', b'{"traceparent":"%b",\n "a":[ ] }'),
            (None, b'{"traceparent":"%b"}'),
            (b"null", b'{"traceparent":"%b"}'),
        ],
    )
    def test_it_becomes_the_first_member_and_the_rest_is_unchanged(
        self, data: bytes | None, found: bytes
    ) -> None:
        assert with_traceparent(data, TRACE) == found % TRACE.encode()

    def test_without_a_trace_nothing_changes(self) -> None:
        assert with_traceparent(b' {"a":1}', None) == b' {"a":1}'

    @given(st.dictionaries(st.text(), st.integers() | st.text()))
    def test_a_function_gets_the_producers_data_and_the_trace(self, data: dict[str, Any]) -> None:
        put = with_traceparent(json.dumps(data).encode(), TRACE)
        assert json.loads(bytes(put or b"")) == {"traceparent": TRACE, **data}

    @pytest.mark.parametrize("inside", [True, False])
    def test_the_setting_adds_it(self, inside: bool) -> None:
        body = b'{"name":"a/b","data":{"n": 1.0}}'
        sent = message(body=body, attributes={"traceparent": Attribute("String", TRACE)})
        found = decode(sent, Rules(trace_in_data=inside))
        assert isinstance(found, Decoded)
        put = b'{"traceparent":"%b","n": 1.0}' % TRACE.encode()
        assert found.events[0].data == (put if inside else b'{"n": 1.0}')

    def test_data_that_it_makes_too_large_is_rejected(self) -> None:
        body = b'{"name":"a/b","data":{"x":"%b"}}' % (b"x" * 2_000)
        sent = message(body=body, attributes={"traceparent": Attribute("String", TRACE)})
        assert isinstance(decode(sent, Rules(max_event_bytes=2_100)), Decoded)
        assert not isinstance(
            decode(sent, Rules(max_event_bytes=2_100, trace_in_data=True)), Decoded
        )


class TestInTheRequest:
    async def test_a_request_carries_a_trace_only_if_all_its_events_share_it(self) -> None:
        destination = RecordingDestination()
        wrapped = TracedDestination(destination)
        await wrapped.send([event(trace=TRACE), event("b", trace=TRACE)])
        await wrapped.send([event(trace=TRACE), event("b", trace=OTHER)])
        await wrapped.send([event()])
        assert destination.traceparents == [TRACE, None, None]
        assert current_traceparent.get() is None

    async def test_concurrent_requests_keep_their_own_trace(self) -> None:
        traceparents: dict[str, str | None] = {}
        both_sending = asyncio.Barrier(2)

        class WaitingDestination(RecordingDestination):
            async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
                await both_sending.wait()
                traceparents[events[0].id] = traceparent_headers().get("traceparent")
                return [Delivered()]

        wrapped = TracedDestination(WaitingDestination())
        await asyncio.gather(
            wrapped.send([event("a", trace=TRACE)]), wrapped.send([event("b", trace=OTHER)])
        )
        assert traceparents == {"a": TRACE, "b": OTHER}

    async def test_inngest_gets_it_as_a_header(self) -> None:
        got = asyncio.Queue[bytes]()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await got.put(await reader.readuntil(b"\r\n\r\n"))
            writer.close()

        async def key() -> str:
            return "test-key"

        async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with Inngest(f"http://127.0.0.1:{port}", key) as inngest:
                with pytest.raises(Unavailable):
                    await TracedDestination(inngest).send([event(trace=TRACE)])
            assert f"traceparent: {TRACE}".encode() in (await got.get()).lower()


class TestSpans:
    @pytest.fixture
    def receiver(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Span]]:
        """The spans that were received, over real HTTP."""
        spans: list[Span] = []

        def take(path: str, body: bytes) -> int:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    spans.extend(scope.spans)
            return 200 if path == "/v1/traces" else 404

        with otlp_collector(take) as url:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
            yield spans

    async def test_a_batch_is_one_span_with_links_to_its_messages(
        self, receiver: list[Span]
    ) -> None:
        destination = RecordingDestination()
        spans = Spans("orders", lambda: None)
        wrapped = spans.wrap(destination)
        assert wrapped.limits is destination.limits
        events = [
            event("a", trace=TRACE, message_id="m-1"),
            event("b", trace=OTHER, message_id="m-2"),
            event("c", trace=OTHER, message_id="m-2"),
            event("d"),
        ]
        await wrapped.send(events)
        await spans.aclose()
        (span,) = receiver
        assert span.kind == Span.SPAN_KIND_PRODUCER
        assert span.parent_span_id == b""
        assert {link.trace_id.hex() for link in span.links} == {TRACE[3:35], OTHER[3:35]}
        assert {
            link.span_id.hex(): link.attributes[0].value.string_value for link in span.links
        } == {TRACE[36:52]: "m-1", OTHER[36:52]: "m-2"}
        attributes = {a.key: a.value.int_value for a in span.attributes}
        assert attributes == {"messaging.batch.message_count": 4, "relay.delivered": 4}
        (parent,) = destination.traceparents
        assert parent is not None
        assert parent.startswith(f"00-{span.trace_id.hex()}-{span.span_id.hex()}-0")

    async def test_a_batch_of_one_trace_belongs_to_it(self, receiver: list[Span]) -> None:
        spans = Spans("orders", lambda: None)
        await spans.wrap(RecordingDestination()).send(
            [event("a", trace=TRACE), event("b", trace=TRACE)]
        )
        await spans.aclose()
        (span,) = receiver
        assert span.trace_id.hex() == TRACE[3:35]
        assert span.parent_span_id.hex() == TRACE[36:52]

    async def test_a_failed_request_is_a_failed_span(self, receiver: list[Span]) -> None:
        spans = Spans("orders", lambda: None)
        wrapped = spans.wrap(RecordingDestination(Unavailable("the host is away"), Retry("later")))
        with pytest.raises(Unavailable):
            await wrapped.send([event()])
        await wrapped.send([event()])
        await spans.aclose()
        assert [span.status.code for span in receiver] == [Status.STATUS_CODE_ERROR] * 2
        assert receiver[0].status.message == "the host is away"
        assert not receiver[0].events

    async def test_a_receiver_that_is_down_is_counted_and_breaks_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        failures: list[int] = []
        spans = Spans("orders", lambda: failures.append(1), timeout=0.2)
        assert await spans.wrap(RecordingDestination()).send([event()]) == [Delivered()]
        await spans.aclose()
        assert failures == [1]


async def test_a_trace_is_carried_from_the_message_to_the_server() -> None:
    body = b'{"name":"a/b","data":{"n":1}}'
    sent = message(body=body, attributes={"traceparent": Attribute("String", TRACE)})
    found = decode(sent, Rules(trace_in_data=True))
    assert isinstance(found, Decoded)

    async def key() -> str:
        return "test"

    async with InngestServer() as server, Inngest(server.url, key) as inngest:
        await TracedDestination(inngest).send(found.events)
        await server.settled()
        assert json.loads(bytes(server.events[0].data or b"")) == {"traceparent": TRACE, "n": 1}
