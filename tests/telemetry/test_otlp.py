"""The OTLP sink, against a receiver over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from relay.telemetry.metrics import METRICS
from relay.telemetry.otlp import OtlpSink, otlp_name
from relay.telemetry.recorder import Recorder
from relay.telemetry.report import SinkError, State
from tests.telemetry.otlp_collector import otlp_collector
from tests.telemetry.samples import busy_recorder, report


class TestOtlp:
    @pytest.fixture
    def failures(self) -> list[int]:
        """Statuses of the first responses; 200 comes after them."""
        return []

    @pytest.fixture
    def receiver(
        self, monkeypatch: pytest.MonkeyPatch, failures: list[int]
    ) -> Iterator[list[bytes]]:
        bodies: list[bytes] = []

        def take(path: str, body: bytes) -> int:
            bodies.append(body)
            status = 200 if path == "/v1/metrics" else 404
            return failures.pop(0) if failures else status

        with otlp_collector(take) as url:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
            yield bodies

    async def test_the_receiver_gets_totals(self, receiver: list[bytes]) -> None:
        sink = OtlpSink("relay")
        await sink.put(report(busy_recorder()))
        await sink.put(report(busy_recorder(), State(circuit="halted")))
        await sink.aclose()
        request = ExportMetricsServiceRequest.FromString(receiver[-1])
        (resource,) = request.resource_metrics
        assert {a.key: a.value.string_value for a in resource.resource.attributes}[
            "service.name"
        ] == "relay"
        metrics = {m.name: m for m in resource.scope_metrics[0].metrics}
        assert metrics.keys() == {otlp_name(metric) for metric in METRICS}
        (delivered,) = metrics["relay.delivered"].sum.data_points
        assert delivered.as_int == 400
        assert metrics["relay.delivered"].sum.is_monotonic
        codes = {
            {a.key: a.value.string_value for a in p.attributes}["code"]: p.as_int
            for p in metrics["relay.rejected"].sum.data_points
        }
        assert codes == {"not_json": 4, "empty_name": 2}
        (age,) = metrics["relay.end_to_end_age"].histogram.data_points
        assert (age.count, sum(age.bucket_counts)) == (400, 400)
        assert metrics["relay.circuit_state"].gauge.data_points[0].as_double == 3.0

    async def test_a_lost_report_is_in_the_next_one_and_not_counted_twice(
        self, receiver: list[bytes], failures: list[int]
    ) -> None:
        failures.append(400)
        sink = OtlpSink("relay")
        lost = report(busy_recorder())
        with pytest.raises(SinkError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
            await sink.put(lost)
        later = report(Recorder())
        later.window.add(lost.window)
        await sink.put(later)
        await sink.aclose()
        assert len(receiver) == 2
        request = ExportMetricsServiceRequest.FromString(receiver[-1])
        metrics = {m.name: m for m in request.resource_metrics[0].scope_metrics[0].metrics}
        assert metrics["relay.delivered"].sum.data_points[0].as_int == 200
