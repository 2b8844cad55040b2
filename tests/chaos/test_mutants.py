"""The judge catches a relay that is broken on purpose, and finds no fault in the real one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from relay.local.inngest import Fault, Rule
from relay.local.sqs.faults import Fault as SqsFault
from tests.chaos.accelerated_clock import Haste
from tests.chaos.environment import MODES, Mode, World, world
from tests.chaos.findings import Verdict
from tests.chaos.processes import Zygote
from tests.chaos.run import conclude
from tests.chaos.traffic import partly_poison, valid_message

pytestmark = pytest.mark.asyncio(loop_scope="session")
COUNT = 12


async def crash(made: World) -> None:
    """The relay dies with everything in hand while nobody takes it."""
    await made.inngest.down()
    await publish(made)
    await made.until(lambda: received(made), within=3_000)
    with contextlib.suppress(TimeoutError):
        await made.until(lambda: not made.main.messages(), within=40)
    await made.relay.kill()


def received(made: World) -> bool:
    """Whether the relay has seen any message."""
    left = made.main.messages()
    return len(left) < COUNT or any(stored.receive_count for stored in left)


async def partial(made: World) -> None:
    """The dead-letter queue takes a part of each batch, for a while."""
    failing = SqsFault(
        action="SendMessageBatch", queue=made.dead.name, entries={0: "InternalError"}, times=2
    )
    made.sqs.faults.add(failing)
    await publish(made)
    await made.until(lambda: failing not in made.sqs.faults.pending, within=1_000)


async def forgetting(made: World) -> None:
    """The orchestrator forgets what it acknowledged."""
    made.inngest.script.add(Rule(fault=Fault(forget=True), times=2))
    await publish(made)
    await made.until(lambda: not made.inngest.script.rules, within=1_000)


async def calm(made: World) -> None:
    """Nothing goes wrong."""
    await publish(made)


async def publish(made: World) -> None:
    await made.publish(
        *(partly_poison(n) if n % 3 == 0 else valid_message(n) for n in range(COUNT))
    )


async def verdict(
    parent: tuple[Zygote, Haste],
    directory: Path,
    course: Callable[[World], Awaitable[None]],
    mode: Mode,
    mutant: str | None = None,
    **settings: str,
) -> Verdict:
    async with world(mode, *parent, directory, mutant=mutant, settings=settings) as made:
        await course(made)
        return await conclude(made)


@pytest.mark.parametrize("mode", MODES)
async def test_acknowledging_before_the_check_loses_events(
    mode: Mode, parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    assert (await verdict(parent, tmp_path, crash, mode, "acknowledges before the check")).lost


async def test_ignoring_failed_entries_loses_dead_letters(
    parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    found = await verdict(parent, tmp_path, partial, "pull", "ignores Failed[]")
    assert any("no dead letter" in complaint for complaint in found.unexplained)


async def test_a_dead_letter_without_its_id_is_unexplained(
    parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    found = await verdict(parent, tmp_path, calm, "push", "drops the id at dead-lettering")
    assert any("never published" in complaint for complaint in found.unexplained)


async def test_believing_an_acknowledgement_loses_what_the_server_forgets(
    parent: tuple[Zygote, Haste], tmp_path: Path
) -> None:
    assert (await verdict(parent, tmp_path, forgetting, "pull", RELAY_CONFIRM="off")).lost


async def test_the_real_relay_passes_the_same(parent: tuple[Zygote, Haste], tmp_path: Path) -> None:
    courses = (crash, partial, forgetting)
    found = await asyncio.gather(*(verdict(parent, tmp_path, course, "push") for course in courses))
    assert [list(one.complaints()) for one in found] == [[], [], []]
