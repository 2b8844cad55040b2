"""The CloudWatch sinks: `PutMetricData` against moto, EMF in a file and to the agent."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped] # it ships no types
import pytest

from relay.aws.cloudwatch import has_credentials, put_metrics
from relay.aws.errors import AwsError
from relay.aws.session import open_session
from relay.telemetry import metrics
from relay.telemetry.cloudwatch import CloudWatchSink, EmfAgentSink, EmfLineSink, appender
from relay.telemetry.recorder import Recorder
from relay.telemetry.report import SinkError, State
from tests.telemetry.samples import DIMENSIONS, NOW, busy_recorder, report


class TestEmf:
    @staticmethod
    def checked(line: str) -> dict[str, Any]:
        """The document, after checks of the format's rules."""
        found: dict[str, Any] = json.loads(line)
        (directive,) = found["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == metrics.NAMESPACE
        assert directive["Dimensions"] == [["service", "queue"]]
        assert len(directive["Metrics"]) <= 100
        assert len(line.encode()) < 262_144
        for metric in directive["Metrics"]:
            value = found[metric["Name"]]
            assert isinstance(value, int | float) or len(value["Values"]) <= 100
        assert {n: found[n] for n in DIMENSIONS} == DIMENSIONS
        return found

    async def test_a_file_gets_pure_json_lines(self, tmp_path: Path) -> None:
        sink = EmfLineSink(appender(tmp_path / "emf"))
        await sink.put(report(busy_recorder()))
        await sink.put(report(Recorder()))
        first, second, third = map(self.checked, (tmp_path / "emf").read_text().splitlines())
        assert first["Delivered"] == 200
        assert first["RejectedByCode"] == {"empty_name": 1, "not_json": 2}
        ages = [document["EndToEndAge"] for document in (first, second)]
        assert sum(age["Count"] for age in ages) == 200
        assert "Delivered" not in second
        assert third["Delivered"] == 0
        assert "EndToEndAge" not in third

    async def test_a_file_that_cannot_be_written_is_a_sink_error(self, tmp_path: Path) -> None:
        with pytest.raises(SinkError, match="No such file"):
            await EmfLineSink(appender(tmp_path / "missing" / "emf")).put(report(busy_recorder()))

    async def test_the_agents_port_gets_lines_with_the_log_group(self) -> None:
        got = asyncio.Queue[bytes]()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await got.put(await reader.read())
            writer.close()

        async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await EmfAgentSink("127.0.0.1", port, "/relay/metrics").put(report(busy_recorder()))
            text = (await got.get()).decode()
        documents = [self.checked(line) for line in text.splitlines()]
        assert {d["_aws"]["LogGroupName"] for d in documents} == {"/relay/metrics"}
        assert documents[0]["Received"] == 200

    async def test_an_agent_that_does_not_listen_is_a_sink_error(self) -> None:
        with pytest.raises(SinkError, match="cannot send to the CloudWatch agent"):
            await EmfAgentSink("127.0.0.1", 1, "g").put(report(Recorder()))


AWS = {
    "AWS_ACCESS_KEY_ID": "any",
    "AWS_SECRET_ACCESS_KEY": "any",
    "AWS_REGION": "us-east-1",
}


class TestCloudWatch:
    @pytest.fixture
    def url(self, moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
        for name, value in AWS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
        return moto

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
            Namespace=metrics.NAMESPACE,
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

    async def test_it_gets_every_metric_under_our_dimensions(self, url: str) -> None:
        async with open_session() as session:

            async def put(namespace: str, entries: Any) -> None:
                await put_metrics(session, namespace, entries)

            await CloudWatchSink(put).put(
                report(busy_recorder(), State(in_flight=5, circuit="open"))
            )
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

    async def test_percentiles_are_preserved(self) -> None:
        sent: list[dict[str, Any]] = []

        async def put(_namespace: str, entries: Any) -> None:
            sent.extend(entries)

        await CloudWatchSink(put).put(report(busy_recorder()))
        ages = [entry for entry in sent if entry["MetricName"] == "EndToEndAge"]
        assert all(len(entry["Values"]) <= 150 for entry in sent if "Values" in entry)
        values = [
            value
            for entry in ages
            for value, count in zip(entry["Values"], entry["Counts"], strict=True)
            for _ in range(int(count))
        ]
        assert sorted(values)[int(0.95 * len(values))] == pytest.approx(190, rel=0.05)

    async def test_an_aws_error_names_the_permission(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in AWS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        async with open_session() as session:
            assert await has_credentials(session)
            with pytest.raises(AwsError, match="cloudwatch:PutMetricData"):
                await put_metrics(session, "Relay", [{"MetricName": "x", "Value": 1.0}])
