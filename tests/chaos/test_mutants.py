"""The reconciliation detects deliberate defects, and finds none in the real relay."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from relay.local.inngest import Fault, Rule
from relay.local.sqs.faults import Fault as SqsFault
from tests.chaos.accelerated_clock import AcceleratedClock
from tests.chaos.environment import MODES, Environment, Mode, QueueOptions, environment
from tests.chaos.findings import Findings
from tests.chaos.processes import ForkServer
from tests.chaos.run import conclude
from tests.chaos.traffic import large_poison, partly_poison, valid_message

pytestmark = pytest.mark.asyncio(loop_scope="session")
COUNT = 12
FAILING_ENTRY = SqsFault(action="SendMessageBatch", entries={0: "InternalError"})


async def crash(env: Environment) -> None:
    """The relay is killed with everything in flight, while the orchestrator is down."""
    await env.inngest.down()
    await publish(env)
    await env.until(lambda: received(env), within=3_000)
    with contextlib.suppress(TimeoutError):
        await env.until(lambda: acknowledged(env), within=40)
    await env.relay.kill()


async def crash_after_acknowledging(env: Environment) -> None:
    """The same, of a relay that acknowledges a message: however late it does, it is killed then."""
    await env.inngest.down()
    await publish(env)
    await env.until(lambda: acknowledged(env), within=3_000)
    await env.relay.kill()


def received(env: Environment) -> bool:
    """Whether the relay has received any message."""
    return acknowledged(env) or any(stored.receive_count for stored in env.main.messages())


def acknowledged(env: Environment) -> bool:
    """Whether the relay has acknowledged any message."""
    return len(env.main.messages()) < COUNT


async def partial(env: Environment) -> None:
    """The dead-letter queue accepts only a part of each batch, for a while."""
    failing = replace(FAILING_ENTRY, queue=env.dead.name, times=2)
    env.sqs.faults.add(failing)
    await publish(env)
    await env.until(lambda: failing not in env.sqs.faults.pending, within=3_000)


async def partial_to_the_end(env: Environment) -> None:
    """It does so until every message is acknowledged, redelivered ones too."""
    env.sqs.faults.add(replace(FAILING_ENTRY, queue=env.dead.name, times=None))
    await publish(env)
    await env.until(lambda: not env.main.messages(), within=3_000)


async def losing_events(env: Environment) -> None:
    """The orchestrator loses what it acknowledged, for a while."""
    env.inngest.script.add(Rule(fault=Fault(forget=True), times=2))
    await publish(env)
    await env.until(lambda: not env.inngest.script.rules, within=3_000)


async def losing_every_event(env: Environment) -> None:
    """It does so until every message is acknowledged, redelivered ones too."""
    env.inngest.script.add(Rule(fault=Fault(forget=True), times=None))
    await publish(env)
    await env.until(lambda: not env.main.messages(), within=3_000)


async def without_room(env: Environment) -> None:
    """The dead-letter queue has no room for a message and its reason."""
    await env.publish(*large_poison(random.Random(COUNT), COUNT))


async def undisturbed(env: Environment) -> None:
    """No disruption."""
    await publish(env)


async def slow_group(env: Environment) -> None:
    """One group, of which a function delivers only a part before its deadline."""
    env.inngest.script.add(Rule(fault=Fault(delay=12.0), times=None))
    await env.publish(*(replace(valid_message(n), group="g") for n in range(8)))
    await env.until(lambda: len(env.main.messages()) < 8, within=3_000)


async def publish(env: Environment) -> None:
    await env.publish(*(partly_poison(n) if n % 3 == 0 else valid_message(n) for n in range(COUNT)))


async def findings(
    parent: tuple[ForkServer, AcceleratedClock],
    directory: Path,
    scenario: Callable[[Environment], Awaitable[None]],
    mode: Mode,
    mutant: str | None = None,
    queues: QueueOptions | None = None,
    **settings: str,
) -> Findings:
    async with environment(
        mode, *parent, directory, mutant=mutant, settings=settings, queues=queues
    ) as env:
        await scenario(env)
        return await conclude(env)


@pytest.mark.parametrize("mode", MODES)
async def test_acknowledging_before_the_delivery_loses_events(
    mode: Mode, parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    mutant = "acknowledges before the delivery"
    assert (await findings(parent, tmp_path, crash_after_acknowledging, mode, mutant)).lost


async def test_ignoring_failed_entries_loses_dead_letters(
    parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    found = await findings(parent, tmp_path, partial_to_the_end, "pull", "ignores Failed[]")
    assert any("not a dead letter" in violation for violation in found.unexplained)


async def test_a_dead_letter_with_another_id_is_unexplained(
    parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    found = await findings(parent, tmp_path, undisturbed, "push", "changes the id of a dead letter")
    assert any("never published" in violation for violation in found.unexplained)


async def test_hiding_a_message_beyond_its_retention_loses_it(
    parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    queues = QueueOptions(retention=300, largest_dead_letter=4_096)
    mutant = "hides beyond the retention"
    found = await findings(parent, tmp_path, without_room, "pull", mutant, queues)
    assert any("not a dead letter" in violation for violation in found.unexplained)


async def test_a_truncated_dead_letter_that_does_not_say_so_is_a_loss(
    parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    queues = QueueOptions(largest_dead_letter=4_096)
    mutant = "takes a truncated dead letter for a whole one"
    found = await findings(parent, tmp_path, without_room, "push", mutant, queues)
    assert any("its body is another one" in violation for violation in found.lost)


async def test_without_confirm_mode_events_that_the_server_loses_are_lost(
    parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    scenario = losing_every_event
    assert (await findings(parent, tmp_path, scenario, "pull", RELAY_CONFIRM="off")).lost


async def test_reporting_what_is_late_as_done_loses_events(
    slow_parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    mutants = ("reports what is late as done", None)
    found = await asyncio.gather(
        *(findings(slow_parent, tmp_path, slow_group, "lambda-fifo", one) for one in mutants)
    )
    assert found[0].lost
    assert found[1].clean, [*found[1].violations()]


async def test_the_real_relay_passes_the_same_scenarios(
    parent: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    scenarios = (crash, partial, losing_events)
    found = await asyncio.gather(
        *(findings(parent, tmp_path, scenario, "push") for scenario in scenarios)
    )
    assert [list(one.violations()) for one in found] == [[], [], []]
