"""The benchmark of the gateway measures a real one, and skips Inngest without its address."""

from __future__ import annotations

from pathlib import Path

from bench.gateway import gateway
from bench.harness import harness
from bench.resource_tables import gateway as tables


async def test_the_gateway_is_measured_by_batch_and_when_idle(tmp_path: Path) -> None:
    async with harness(tmp_path / "log") as servers:
        found = await gateway(servers, 1, None, batches={1: 20, 100: 300}, idle=5)
        requests = await servers.sqs.call("requests")
    assert requests["SendMessageBatch"] >= 10
    assert set(found["batches"]) == {"1", "100"}
    assert all(one["cpu"] > 0 for one in found["batches"].values())
    assert found["latency"]["sqs"] > 0
    assert "BENCH_INNGEST is not set" in found["inngest"]["skipped"]
    assert "not measured" in tables({"gateway": found})[0].rows[0]
