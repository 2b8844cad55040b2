"""A short version of `make chaos`: one seed per mode, and a few kill points."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.accelerated_clock import AcceleratedClock
from tests.chaos.environment import LAMBDA, MODES, Mode
from tests.chaos.kill_points import Point, enumerate_points, kill_at
from tests.chaos.processes import ForkServer
from tests.chaos.proxy import Phase
from tests.chaos.run import run

pytestmark = pytest.mark.asyncio(loop_scope="session")
SEED = 2
MESSAGES = 60
PROCESSES = [mode for mode in MODES if mode not in LAMBDA]


CONDITIONS: dict[tuple[Mode, int], str] = {
    ("push", 26): "a small dead-letter queue and a bucket",
    ("pull", 8): "a flood of poison",
    ("fifo", 9): "hostile origins",
}
"""Seeds with their conditions. A run with a short retention takes too long for this suite."""

POINTS: tuple[tuple[Mode, Point], ...] = (
    ("push", Point("Inngest POST /e", Phase.RESPONSE)),
    ("push", Point("SQS SendMessageBatch dead", Phase.RESPONSE)),
    ("pull", Point("SQS DeleteMessageBatch main", Phase.REQUEST)),
    ("fifo", Point("SQS SendMessageBatch dead.fifo", Phase.RESPONSE)),
    ("lambda", Point("Lambda POST /2018-06-01", Phase.REQUEST)),
    ("lambda-fifo", Point("Inngest POST /e", Phase.RESPONSE)),
)


async def test_a_seed_of_each_mode_loses_nothing_and_runs_nothing_twice(
    parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    results = await asyncio.gather(
        *(run(mode, SEED, *parent, tmp_path, messages=MESSAGES) for mode in PROCESSES)
    )
    for result in results:
        assert result.findings.clean, [*result.findings.violations(), result.log]
        assert result.findings.ran > MESSAGES / 2
        assert result.findings.dead


async def test_a_seed_on_lambda_loses_nothing_and_runs_nothing_twice(
    slow_parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    results = await asyncio.gather(
        *(run(mode, SEED, *slow_parent, tmp_path, messages=MESSAGES // 2) for mode in LAMBDA)
    )
    for result in results:
        assert result.findings.clean, [*result.findings.violations(), result.log]
        assert result.findings.ran > MESSAGES / 4


async def test_a_small_queue_a_flood_and_hostile_origins_lose_nothing(
    parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    results = await asyncio.gather(
        *(run(mode, seed, *parent, tmp_path, messages=MESSAGES) for mode, seed in CONDITIONS)
    )
    for result, name in zip(results, CONDITIONS.values(), strict=True):
        assert result.names[0] == name
        assert result.findings.clean, [*result.findings.violations(), result.log]
        assert result.findings.ran
        assert result.findings.dead


async def test_a_kill_around_an_effect_loses_nothing(
    slow_parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    killings = await asyncio.gather(
        *(kill_at(mode, 10, point, *slow_parent, tmp_path, ledger=False) for mode, point in POINTS)
    )
    for result in killings:
        assert result.reached, result.point
        assert result.findings.clean, [str(result.point), *result.findings.violations()]


async def test_a_recorded_run_contains_every_effect_of_a_message(
    parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    points = await enumerate_points("pull", 1, *parent, tmp_path, ledger=False)
    assert {point.label for point in points} >= {
        "SQS ReceiveMessage main",
        "Inngest POST /e",
        "Inngest GET /v1/events",
        "SQS SendMessageBatch dead",
        "SQS DeleteMessageBatch main",
    }
    assert len(points) == len(set(points)) == 2 * len({point.label for point in points})
