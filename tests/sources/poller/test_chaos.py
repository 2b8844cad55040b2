"""No message is lost, whatever the handler, the queue and the operator do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from relay.local.sqs.faults import Fault, Request
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from tests.sources.poller.rig import Rig

BODIES = [f"m{i}" for i in range(60)]
FAULTS = (
    Fault(refuse=True),
    Fault(drop=True),
    Fault(error="RequestThrottled", status=403),
    Fault(error="InternalError", status=500),
    Fault(entries={0: "InternalError", 3: "InternalError"}),
    Fault(stale=True),
)


class Chaos:
    """Draws faults and outcomes; in the end each message is delivered or rejected."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self.random = random.Random(seed)
        self.rig = rig
        self.settled: set[str] = set()
        self.without_faults = False

    def fault(self, request: Request) -> Fault | None:
        hits = not self.without_faults and self.random.random() < 0.15
        return self.random.choice(FAULTS) if hits else None

    def over(self, end: float) -> Callable[[], bool]:
        """Whether a run is over: by the clock, or without faults when the queue is empty."""
        return lambda: (
            not self.rig.states or (not self.without_faults and self.rig.clock.time() > end)
        )

    async def handle(self, message: Message) -> Outcome:
        body = message.body.decode()
        await self.rig.clock.sleep(self.random.choice([0, 0, 1, 50]))
        draw = 1.0 if self.without_faults else self.random.random()
        if draw < 0.2:
            raise RuntimeError("as drawn")
        if draw < 0.4:
            return Retry("as drawn", after=self.random.choice([None, 0.0, 40.0]))
        self.settled.add(body)
        return Reject("bad", "as drawn") if draw < 0.5 else Delivered()


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_standard_queue_loses_nothing(rig: Rig, seed: int) -> None:
    await run_with_faults(rig, seed)


@pytest.mark.parametrize("seed", [3, 4])
async def test_a_fifo_queue_loses_nothing(fifo: Rig, seed: int) -> None:
    await run_with_faults(fifo, seed)


async def run_with_faults(rig: Rig, seed: int) -> None:
    """Four runs with faults and one without. After each, every message is settled or queued."""
    chaos = Chaos(rig, seed)
    for number, body in enumerate(BODIES):
        await rig.send([body], group=f"g{number % 7}")
    rig.server._app._faults = chaos.fault
    for run_number in range(5):
        chaos.without_faults = run_number == 4
        poller = rig.poller(
            handle=chaos.handle, limits={"max_in_flight": 20, "handler_concurrency": 12}
        )
        run = asyncio.create_task(poller.run())
        await rig.pass_time(chaos.over(rig.clock.time() + 120))
        assert chaos.settled | rig.states.keys() >= set(BODIES)
        if chaos.random.random() < 0.5:
            run.cancel()
        else:
            poller.stop()
        await rig.pass_time(run.done)
        assert run.cancelled() or run.exception() is None
    assert chaos.settled == set(BODIES)
    assert not rig.states
