"""A short version of the gateway's chaos runs, and mutants that the reconciliation must detect."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from relay.aws.sqs_values import BATCH_ENTRIES
from relay.local.sqs.faults import Fault
from tests.chaos.accelerated_clock import AcceleratedClock
from tests.chaos.findings import Findings
from tests.chaos.gateway.environment import GatewayEnvironment, gateway_environment
from tests.chaos.gateway.kill_points import kill_gateway_at, requests
from tests.chaos.gateway.requests import EventRequest
from tests.chaos.gateway.run import conclude_gateway, run_gateway
from tests.chaos.kill_points import SPEED, Point
from tests.chaos.preloading import cache_service_models
from tests.chaos.processes import ForkServer, fork_server
from tests.chaos.proxy import Damage, Phase, no_interception
from tests.chaos.wire_disruptions import proxied

pytestmark = pytest.mark.asyncio(loop_scope="module")

POINTS = (
    Point("gateway POST /e", Phase.RESPONSE),
    Point("gateway SQS SendMessageBatch main", Phase.RESPONSE),
    Point("gateway S3 PUT /large-events", Phase.REQUEST),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def slow() -> AsyncIterator[tuple[ForkServer, AcceleratedClock]]:
    """The process that relays and gateways are forked from: an SDK gives up within seconds."""
    cache_service_models()
    clock = AcceleratedClock(time.time(), SPEED)
    async with fork_server(clock) as env:
        yield env, clock


async def test_a_seed_with_every_kind_of_fault_loses_no_confirmed_event(
    slow: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    result = await run_gateway(2, *slow, tmp_path, requests=25)
    assert result.findings.clean, [*result.findings.violations(), result.log]
    assert result.findings.ran


async def test_a_kill_around_an_effect_loses_no_confirmed_event(
    slow: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    results = await asyncio.gather(*(kill_gateway_at(one, *slow, tmp_path) for one in POINTS))
    for result in results:
        assert result.reached, result.point
        assert result.findings.clean, [str(result.point), *result.findings.violations()]


async def _send(world: GatewayEnvironment, sent: Sequence[EventRequest]) -> None:
    await asyncio.gather(
        *(world.producer.send(one, random.Random(n)) for n, one in enumerate(sent))
    )


async def _findings(
    slow: tuple[ForkServer, AcceleratedClock], directory: Path, mutant: str | None
) -> Findings:
    """Requests while SQS fails a part of each batch, with answers lost on the way back.

    From the last request on SQS takes nothing, until the gateway is killed: whatever the order in
    which the processes run, an answer of 200 to this request is wrong.
    """
    async with gateway_environment(*slow, directory, bucket=True, mutant=mutant) as world:
        *others, last = requests()
        world.env.sqs.faults.add(
            Fault(action="SendMessageBatch", queue="main", entries={0: "InternalError"}, times=6)
        )
        await proxied("gateway", Phase.RESPONSE, Damage.RESET)(world.env, random.Random(1))
        await _send(world, others)
        world.env.proxies["gateway"].intercept = no_interception
        nothing = dict.fromkeys(range(BATCH_ENTRIES), "InternalError")
        world.env.sqs.faults.clear()
        world.env.sqs.faults.add(
            Fault(action="SendMessageBatch", queue="main", entries=nothing, times=None)
        )
        await world.producer.send(last, random.Random(len(others)), tries=1)
        await world.gateway.kill_if_running()
        return await conclude_gateway(world)


@pytest.mark.parametrize(
    "mutant", ["answers before SQS confirms", "assumes that each message was sent"]
)
async def test_a_gateway_that_confirms_too_early_loses_events(
    slow: tuple[ForkServer, AcceleratedClock], tmp_path: Path, mutant: str
) -> None:
    assert (await _findings(slow, tmp_path, mutant)).lost


async def test_a_gateway_that_makes_new_ids_runs_events_that_nobody_knows(
    slow: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    found = await _findings(slow, tmp_path, "makes new ids for each try")
    assert any("is not" in sentence for sentence in found.unexplained)


async def test_the_real_gateway_passes_the_same_scenario(
    slow: tuple[ForkServer, AcceleratedClock], tmp_path: Path
) -> None:
    found = await _findings(slow, tmp_path, None)
    assert list(found.violations()) == []
    assert found.ran
