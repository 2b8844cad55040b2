"""The benchmark of the gateway measures a real one, and skips Inngest without its address."""

from __future__ import annotations

from pathlib import Path

from bench.gateway import gateway
from bench.harness import Harness
from bench.server_process import ServerProcess
from bench.tables import gateway as tables


async def test_the_gateway_is_measured_by_batch_and_when_idle(tmp_path: Path) -> None:
    async with (
        ServerProcess("bench.queue_server", cpu=None) as sqs,
        ServerProcess("bench.sink", cpu=None) as sink,
    ):
        found = await gateway(
            Harness(sqs, sink, None, tmp_path / "log"), 1, None, batches={1: 20, 100: 300}, idle=5
        )
        requests = await sqs.call("requests")
    assert requests["SendMessageBatch"] >= 10
    assert set(found["batches"]) == {"1", "100"}
    assert all(one["cpu"] > 0 for one in found["batches"].values())
    assert found["latency"]["sqs"] > 0
    assert "BENCH_INNGEST is not set" in found["inngest"]["skipped"]
    assert "not measured" in tables({"gateway": found})[0].rows[0]
