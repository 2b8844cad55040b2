"""The embedded metric format, for a file and for the agent's port."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from relay.telemetry import metrics
from relay.telemetry.cloudwatch import EmfAgentSink, EmfLineSink, append_to
from relay.telemetry.report import SinkError
from tests.telemetry.busy import busy
from tests.telemetry.samples import DIMENSIONS, recorder, report


class TestEmf:
    @staticmethod
    def checked(line: str) -> dict[str, Any]:
        """The document, held to the format's rules."""
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
        sink = EmfLineSink(append_to(tmp_path / "emf"))
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
        with pytest.raises(SinkError, match="No such file"):
            await EmfLineSink(append_to(tmp_path / "missing" / "emf")).put(report(busy()))

    async def test_the_agents_port_gets_lines_with_their_log_group(self) -> None:
        got = asyncio.Queue[bytes]()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await got.put(await reader.read())
            writer.close()

        async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await EmfAgentSink("127.0.0.1", port, "/relay/metrics").put(report(busy()))
            text = (await got.get()).decode()
        documents = [self.checked(line) for line in text.splitlines()]
        assert {d["_aws"]["LogGroupName"] for d in documents} == {"/relay/metrics"}
        assert documents[0]["Received"] == 200

    async def test_an_agent_that_is_not_there_is_no_error_of_ours(self) -> None:
        with pytest.raises(SinkError, match="does not listen"):
            await EmfAgentSink("127.0.0.1", 1, "g").put(report(recorder()))
