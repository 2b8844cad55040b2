"""The judge catches a relay that is broken on purpose, and finds no fault in the real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.haste import Haste
from tests.chaos.processes import Zygote
from tests.chaos.run import Plan, run
from tests.chaos.verdict import Verdict
from tests.chaos.world import Mode

pytestmark = pytest.mark.asyncio(loop_scope="session")
CRASH = Plan([[(15.0, "it is down")], [(21.0, "SIGKILL")]])
PARTIAL = Plan([[(0.0, "DLQ takes a part")], [(0.0, "DLQ takes a part")]])
SEED = 3


async def verdict(
    parent: tuple[Zygote, Haste], directory: Path, mode: Mode, chosen: Plan, mutant: str | None
) -> Verdict:
    result = await run(mode, SEED, *parent, directory, chosen=chosen, mutant=mutant)
    return result.verdict


@pytest.mark.parametrize("mode", ["push", "pull"])
async def test_acknowledging_before_the_check_loses_events(
    mode: Mode, parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    mutant = "acknowledges before the check"
    assert (await verdict(parent, tmp_path, mode, CRASH, mutant)).lost


async def test_ignoring_failed_entries_loses_dead_letters(
    parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    found = await verdict(parent, tmp_path, "pull", PARTIAL, "ignores Failed[]")
    assert any("no dead letter" in complaint for complaint in found.unexplained)


async def test_a_dead_letter_without_its_id_is_unexplained(
    parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    found = await verdict(parent, tmp_path, "push", Plan([]), "drops the id at dead-lettering")
    assert any("never published" in complaint for complaint in found.unexplained)


@pytest.mark.parametrize("chosen", [CRASH, PARTIAL], ids=["crash", "partial"])
async def test_the_real_relay_passes_the_same(
    chosen: Plan, parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    found = await verdict(parent, tmp_path, "push", chosen, None)
    assert found.clean, list(found.complaints())
