"""Stopping: requests on the wire may finish in time, all other events are returned at once."""

from __future__ import annotations

import asyncio

import pytest

from relay.model.outcome import Delivered, Retry
from tests.forwarding.scripted import Failure, Relay, Scripted, bad_gateway, event
from tests.forwarding.strict import NAMES
from tests.forwarding.virtual_time import now, run


def test_stopping_finishes_requests_on_the_wire_and_returns_the_rest() -> None:
    async def main() -> None:
        destination = Scripted(max_events=2)
        relay = Relay(destination)
        tasks = relay.submit(*NAMES[:10])
        await asyncio.sleep(0.01)
        start = now()
        await relay.forwarder.stop(20.0)
        outcomes = await asyncio.gather(*tasks)
        assert now() - start < 0.1
        assert sum(isinstance(outcome, Delivered) for outcome in outcomes) == 4
        assert outcomes.count(Retry("stopping")) == 6
        assert await relay.forwarder.submit(event("late")) == Retry("stopping")
        assert not relay.forwarder.accepting

    run(main)


def test_stopping_cancels_requests_on_the_wire_at_the_deadline() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.poison["hangs"] = Failure(bad_gateway, 1_000.0)
        relay = Relay(destination)
        task = relay.submit("hangs")[0]
        await asyncio.sleep(1)
        await relay.forwarder.stop(20.0)
        assert now() == pytest.approx(21)
        assert await task == Retry("stopping")
        assert destination.running == 0
        assert relay.forwarder.may_have_run("hangs")

    run(main)


def test_stopping_during_an_outage_returns_held_events_at_once() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(bad_gateway)
        relay = Relay(destination)
        tasks = relay.submit(*NAMES[:5])
        await asyncio.sleep(90)
        start = now()
        await relay.forwarder.stop(20.0)
        assert await asyncio.gather(*tasks) == [Retry("stopping")] * 5
        assert now() - start < 0.1

    run(main)


def test_stopping_returns_an_event_that_waits_for_a_witness() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(bad_gateway)
        relay = Relay(destination)
        task = relay.submit("lonely")[0]
        await asyncio.sleep(0.1)
        await relay.forwarder.stop(20.0)
        assert await task == Retry("stopping")

    run(main)


def test_stopping_returns_an_event_that_fails_alone_meanwhile() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(bad_gateway, 2.0)
        relay = Relay(destination)
        task = relay.submit("lonely")[0]
        await asyncio.sleep(1)
        await relay.forwarder.stop(20.0)
        assert await task == Retry("stopping")
        assert now() == pytest.approx(2)

    run(main)
