"""A short run of `make chaos`: one seed of each mode, and some of the places to be killed at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.haste import Haste
from tests.chaos.kill_points import Point, kill_at
from tests.chaos.processes import Zygote
from tests.chaos.proxy import Moment
from tests.chaos.run import catalogue, run
from tests.chaos.world import MODES, Mode

pytestmark = pytest.mark.asyncio(loop_scope="session")
SEED = 2


@pytest.mark.parametrize("mode", MODES)
async def test_a_seed_loses_nothing_and_runs_nothing_twice(
    mode: Mode, parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    result = await run(mode, SEED, *parent, tmp_path)
    assert result.verdict.clean, [*result.verdict.complaints(), result.log]
    assert result.verdict.ran > 80
    assert result.verdict.dead


@pytest.mark.parametrize(
    ("mode", "label", "moment"),
    [
        ("push", "Inngest POST /e", Moment.ANSWERED),
        ("push", "SQS SendMessageBatch dead", Moment.ANSWERED),
        ("pull", "SQS DeleteMessageBatch main", Moment.ASKED),
        ("fifo", "SQS SendMessageBatch dead.fifo", Moment.ANSWERED),
    ],
)
async def test_a_kill_around_an_effect_loses_nothing(
    mode: Mode, label: str, moment: Moment, parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    killing = await kill_at(mode, 10, Point(label, moment), *parent, tmp_path)
    assert killing.reached
    assert killing.verdict.clean, list(killing.verdict.complaints())


@pytest.mark.parametrize("mode", MODES)
async def test_every_trouble_has_a_name_of_its_own(mode: Mode) -> None:
    found = catalogue(mode)
    assert len(found) == len(set(map(id, found.values())))
