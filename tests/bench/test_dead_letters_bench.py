"""The commands on dead letters and the views of the console are measured on real processes."""

from __future__ import annotations

from pathlib import Path

from bench.dead_letters import BESIDE, dead_letters
from bench.harness import harness
from bench.resource_tables import dead_letters as tables

MESSAGES = 30


async def test_every_command_and_view_is_measured(tmp_path: Path) -> None:
    async with harness(tmp_path / "log") as servers:
        found = await dead_letters(servers, MESSAGES)
    steps = found["steps"]
    assert {*BESIDE, *BESIDE.values()} < steps.keys()
    # Each batch of ten is received, sent and deleted; the last receive finds nothing.
    assert steps[BESIDE["relay dlq redrive --yes"]]["requests"] >= 3 * MESSAGES // 10 + 1
    assert steps["relay dlq stats"]["requests"] == 0
    assert all(one["peak"] > 10_000_000 and one["cpu"] > 0 for one in steps.values())
    assert found["views"]["list, first page"] > 0
    assert [len(table.rows) for table in tables({"dead_letters": found})] == [
        len(steps),
        len(found["views"]),
    ]
