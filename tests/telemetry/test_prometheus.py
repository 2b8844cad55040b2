"""The Prometheus sink, read by Prometheus's own parser."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.http.server import serving
from relay.model.facts import Received
from relay.telemetry import metrics
from relay.telemetry.flusher import gauges
from relay.telemetry.prometheus import PrometheusSink, prometheus_name
from relay.telemetry.report import State
from tests.telemetry.samples import DIMENSIONS, busy_recorder, message, observe, report


class TestPrometheus:
    async def test_the_parser_reads_the_response(self) -> None:
        recorder = busy_recorder()
        sink = PrometheusSink(
            recorder, lambda: gauges(State(in_flight=4)), lambda: {**DIMENSIONS, "queue": 'o"\\\n'}
        )
        await sink.put(report(recorder))
        observe(recorder, Received(message()))
        async with (
            serving(sink.add_metrics_route(_not_found)) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
        ):
            answer = await client.get("/metrics")
            assert (await client.get("/other")).status_code == 404
            assert (await client.post("/metrics")).status_code == 404
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = {f.name: f for f in text_string_to_metric_families(answer.text)}
        assert {
            prometheus_name(metric).removesuffix("_total") for metric in metrics.METRICS
        } == families.keys()
        (received,) = families["relay_received"].samples
        assert (received.value, received.labels["queue"]) == (201.0, 'o"\\\n')
        codes = {s.labels["code"]: s.value for s in families["relay_rejected"].samples}
        assert codes == {"not_json": 2.0, "empty_name": 1.0}
        assert families["relay_in_flight"].samples[0].value == 4.0
        age = {
            s.labels.get("le", s.name): s.value
            for s in families["relay_end_to_end_age_seconds"].samples
        }
        assert age["60"] == pytest.approx(61, abs=3)
        assert age["+Inf"] == age["relay_end_to_end_age_seconds_count"] == 200.0


async def _not_found(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})
