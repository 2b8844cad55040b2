"""Each sink against a real receiver."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped] # it ships no types
import httpx
import pytest
from moto.server import ThreadedMotoServer
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from prometheus_client.parser import text_string_to_metric_families

from relay.aws.cloudwatch import has_credentials, put_metrics
from relay.aws.errors import QueueError
from relay.aws.session import open_session
from relay.facts import Forwarded, Received
from relay.http_server import serving
from relay.message import Delivered, Reject
from relay.telemetry import table
from relay.telemetry.flusher import gauges
from relay.telemetry.recorder import Recorder
from relay.telemetry.report import NotTaken, State
from relay.telemetry.sinks.cloudwatch import CloudWatchSink
from relay.telemetry.sinks.emf import EmfAgent, EmfLines, append_to
from relay.telemetry.sinks.otlp import OtlpSink, otlp_name
from relay.telemetry.sinks.prometheus import PrometheusSink, prometheus_name
from tests.telemetry.samples import DIMENSIONS, NOW, event, message, recorder, report, settled

AWS = {
    "AWS_ACCESS_KEY_ID": "any",
    "AWS_SECRET_ACCESS_KEY": "any",
    "AWS_REGION": "us-east-1",
}


def busy() -> Recorder:
    """Two hundred deliveries of as many ages, some refusals, a few requests."""
    counted = recorder()
    for number in range(200):
        counted.observe(Received(message()))
        ts = int((NOW - number) * 1_000)
        counted.observe(settled(results=[(event(ts=ts), Delivered())]))
    for code in ("not_json", "not_json", "empty_name"):
        counted.observe(settled(Reject(code, "no"), results=[]))
    for size in (1, 10, 100):
        counted.observe(Forwarded(events=size, size=1, seconds=size / 1_000))
    return counted


class TestCloudWatch:
    @pytest.fixture
    def url(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        for name, value in AWS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        yield f"http://{host}:{port}"
        server.stop()

    @staticmethod
    def statistics(url: str, name: str, **kinds: Any) -> dict[str, Any]:
        client = boto3.client(
            "cloudwatch",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )
        at = datetime.fromtimestamp(NOW, UTC)
        found = client.get_metric_statistics(
            Namespace=table.NAMESPACE,
            MetricName=name,
            Dimensions=[{"Name": n, "Value": v} for n, v in DIMENSIONS.items()],
            StartTime=at - timedelta(hours=1),
            EndTime=at + timedelta(hours=1),
            Period=7_200,
            **kinds,
        )
        client.close()
        (point,) = found["Datapoints"]
        return dict(point)

    async def test_it_has_every_metric_under_our_dimensions(self, url: str) -> None:
        async with open_session() as session:

            async def put(namespace: str, entries: Any) -> None:
                await put_metrics(session, namespace, entries)

            await CloudWatchSink(put).put(report(busy(), State(in_hand=5, circuit="open")))
        sums = {
            name: await asyncio.to_thread(self.statistics, url, name, Statistics=["Sum"])
            for name in ("Received", "Delivered", "Rejected", "Ambiguous", "CircuitState")
        }
        assert {name: point["Sum"] for name, point in sums.items()} == {
            "Received": 200.0,
            "Delivered": 200.0,
            "Rejected": 3.0,
            "Ambiguous": 0.0,
            "CircuitState": 2.0,
        }
        age = await asyncio.to_thread(
            self.statistics,
            url,
            "EndToEndAge",
            Statistics=["SampleCount", "Minimum", "Maximum", "Sum"],
        )
        assert age["SampleCount"] == 200.0
        assert (age["Minimum"], age["Maximum"]) == (0.0, 200.0)
        assert age["Sum"] == pytest.approx(sum(range(200)), rel=0.02)

    async def test_a_percentile_survives(self) -> None:
        sent: list[dict[str, Any]] = []

        async def put(_namespace: str, entries: Any) -> None:
            sent.extend(entries)

        await CloudWatchSink(put).put(report(busy()))
        ages = [entry for entry in sent if entry["MetricName"] == "EndToEndAge"]
        assert all(len(entry["Values"]) <= 150 for entry in sent if "Values" in entry)
        values = [
            value
            for entry in ages
            for value, count in zip(entry["Values"], entry["Counts"], strict=True)
            for _ in range(int(count))
        ]
        assert sorted(values)[int(0.95 * len(values))] == pytest.approx(190, rel=0.05)

    async def test_an_error_of_aws_is_a_sentence_with_the_permission(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in AWS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        async with open_session() as session:
            assert await has_credentials(session)
            with pytest.raises(QueueError, match="cloudwatch:PutMetricData"):
                await put_metrics(session, "Relay", [{"MetricName": "x", "Value": 1.0}])


class TestEmf:
    @staticmethod
    def checked(line: str) -> dict[str, Any]:
        """The document, held to the format's rules."""
        found: dict[str, Any] = json.loads(line)
        (directive,) = found["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == table.NAMESPACE
        assert directive["Dimensions"] == [["service", "queue"]]
        assert len(directive["Metrics"]) <= 100
        assert len(line.encode()) < 262_144
        for metric in directive["Metrics"]:
            value = found[metric["Name"]]
            assert isinstance(value, int | float) or len(value["Values"]) <= 100
        assert {n: found[n] for n in DIMENSIONS} == DIMENSIONS
        return found

    async def test_a_file_gets_pure_json_lines(self, tmp_path: Path) -> None:
        sink = EmfLines(append_to(tmp_path / "emf"))
        await sink.put(report(busy()))
        await sink.put(report(recorder()))
        first, second, third = map(self.checked, (tmp_path / "emf").read_text().splitlines())
        assert first["Delivered"] == 200
        assert first["RejectedByCode"] == {"empty_name": 1, "not_json": 2}
        ages = [document["EndToEndAge"] for document in (first, second)]
        assert sum(age["Count"] for age in ages) == 200
        assert "Delivered" not in second
        assert third["Delivered"] == 0
        assert "EndToEndAge" not in third

    async def test_a_file_that_cannot_be_written_is_no_error_of_ours(self, tmp_path: Path) -> None:
        with pytest.raises(NotTaken, match="No such file"):
            await EmfLines(append_to(tmp_path / "missing" / "emf")).put(report(busy()))

    async def test_the_agents_port_gets_lines_with_their_log_group(self) -> None:
        got = asyncio.Queue[bytes]()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await got.put(await reader.read())
            writer.close()

        async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await EmfAgent("127.0.0.1", port, "/relay/metrics").put(report(busy()))
            text = (await got.get()).decode()
        documents = [self.checked(line) for line in text.splitlines()]
        assert {d["_aws"]["LogGroupName"] for d in documents} == {"/relay/metrics"}
        assert documents[0]["Received"] == 200

    async def test_an_agent_that_is_not_there_is_no_error_of_ours(self) -> None:
        with pytest.raises(NotTaken, match="does not listen"):
            await EmfAgent("127.0.0.1", 1, "g").put(report(recorder()))


class TestPrometheus:
    async def test_a_parser_reads_the_answer(self) -> None:
        counted = busy()
        sink = PrometheusSink(
            counted, lambda: gauges(State(in_hand=4)), lambda: {**DIMENSIONS, "queue": 'o"\\\n'}
        )
        await sink.put(report(counted))
        counted.observe(Received(message()))
        async with (
            serving(sink.beside(_not_found)) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
        ):
            answer = await client.get("/metrics")
            assert (await client.get("/other")).status_code == 404
            assert (await client.post("/metrics")).status_code == 404
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = {f.name: f for f in text_string_to_metric_families(answer.text)}
        assert {
            prometheus_name(metric).removesuffix("_total") for metric in table.METRICS
        } == families.keys()
        (received,) = families["relay_received"].samples
        assert (received.value, received.labels["queue"]) == (201.0, 'o"\\\n')
        codes = {s.labels["code"]: s.value for s in families["relay_rejected"].samples}
        assert codes == {"not_json": 2.0, "empty_name": 1.0}
        assert families["relay_in_hand"].samples[0].value == 4.0
        age = {
            s.labels.get("le", s.name): s.value
            for s in families["relay_end_to_end_age_seconds"].samples
        }
        assert age["60"] == pytest.approx(61, abs=3)
        assert age["+Inf"] == age["relay_end_to_end_age_seconds_count"] == 200.0


async def _not_found(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class TestOtlp:
    @pytest.fixture
    def refusals(self) -> list[int]:
        """Statuses for the first requests; 200 comes after them."""
        return []

    @pytest.fixture
    def receiver(
        self, monkeypatch: pytest.MonkeyPatch, refusals: list[int]
    ) -> Iterator[list[bytes]]:
        bodies: list[bytes] = []

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["content-length"])))
                right = 200 if self.path == "/v1/metrics" else 404
                self.send_response(refusals.pop(0) if refusals else right)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        port = server.server_address[1]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        yield bodies
        server.shutdown()
        server.server_close()
        thread.join()

    async def test_a_receiver_gets_totals(self, receiver: list[bytes]) -> None:
        sink = OtlpSink("relay")
        await sink.put(report(busy()))
        await sink.put(report(busy(), State(circuit="halted")))
        await sink.aclose()
        request = ExportMetricsServiceRequest.FromString(receiver[-1])
        (resource,) = request.resource_metrics
        assert {a.key: a.value.string_value for a in resource.resource.attributes}[
            "service.name"
        ] == "relay"
        metrics = {m.name: m for m in resource.scope_metrics[0].metrics}
        assert metrics.keys() == {otlp_name(metric) for metric in table.METRICS}
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

    async def test_a_report_that_got_lost_is_in_the_next_and_not_twice(
        self, receiver: list[bytes], refusals: list[int]
    ) -> None:
        refusals.append(400)
        sink = OtlpSink("relay")
        lost = report(busy())
        with pytest.raises(NotTaken, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
            await sink.put(lost)
        later = report(recorder())
        later.window.add(lost.window)
        await sink.put(later)
        await sink.aclose()
        assert len(receiver) == 2
        request = ExportMetricsServiceRequest.FromString(receiver[-1])
        metrics = {m.name: m for m in request.resource_metrics[0].scope_metrics[0].metrics}
        assert metrics["relay.delivered"].sum.data_points[0].as_int == 200
