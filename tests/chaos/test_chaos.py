"""A short run of `make chaos`: one seed of each mode, and some of the places to be killed at."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.accelerated_clock import Haste
from tests.chaos.environment import MODES, Mode
from tests.chaos.kill_points import Point, enumerate_points, kill_at
from tests.chaos.processes import Zygote
from tests.chaos.proxy import Moment
from tests.chaos.run import run

pytestmark = pytest.mark.asyncio(loop_scope="session")
SEED = 2
MESSAGES = 60


POINTS: tuple[tuple[Mode, Point], ...] = (
    ("push", Point("Inngest POST /e", Moment.ANSWERED)),
    ("push", Point("SQS SendMessageBatch dead", Moment.ANSWERED)),
    ("pull", Point("SQS DeleteMessageBatch main", Moment.ASKED)),
    ("fifo", Point("SQS SendMessageBatch dead.fifo", Moment.ANSWERED)),
)


async def test_a_seed_of_each_mode_loses_nothing_and_runs_nothing_twice(
    parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    results = await asyncio.gather(
        *(run(mode, SEED, *parent, tmp_path, messages=MESSAGES) for mode in MODES)
    )
    for result in results:
        assert result.verdict.clean, [*result.verdict.complaints(), result.log]
        assert result.verdict.ran > MESSAGES / 2
        assert result.verdict.dead


async def test_a_kill_around_an_effect_loses_nothing(
    parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    killings = await asyncio.gather(
        *(kill_at(mode, 10, point, *parent, tmp_path, ledger=False) for mode, point in POINTS)
    )
    for killing in killings:
        assert killing.reached, killing.point
        assert killing.verdict.clean, [str(killing.point), *killing.verdict.complaints()]


async def test_a_recorded_run_knows_every_effect_of_a_message(
    parent: tuple[Zygote, Haste], tmp_path: Path
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
