"""The benchmark's servers over TLS; a saturated relay opens few connections to them."""

from __future__ import annotations

from pathlib import Path

from bench.contestant import relay_poll
from bench.harness import harness
from bench.run import Workload, run
from bench.targets import CONNECTIONS

MESSAGES = 1_500


async def test_a_saturated_relay_keeps_its_tls_connections(tmp_path: Path) -> None:
    workload = Workload(name="some", about="", size=300)
    async with harness(tmp_path / "log", tls=tmp_path / "tls") as servers:
        assert servers.servers.sqs.startswith("https://")
        found = await run(servers, relay_poll(MESSAGES), workload)
    assert 2 <= found.connections <= CONNECTIONS
    assert found.resumed < found.connections
    assert found.requests <= 0.3
