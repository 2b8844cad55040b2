"""Events that are not delivered although the circuit is closed are noticed, and nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from relay.forwarding.undelivered import FORGOTTEN_AFTER, MOST, Undelivered
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from tests.forwarding.scripted import (
    POISONS,
    Failure,
    Relay,
    Scripted,
    bad_gateway,
    refused_connection,
)
from tests.forwarding.virtual_time import now, run

AFTER = 180.0
CONFIRM_DEADLINE = 60.0
QUEUE_DELAY = 300.0
"""Seconds from a retry to the next delivery, as sqsd's ErrorVisibilityTimeout."""

UNCONFIRMED = Retry("accepted, but not seen among the stored events in time")


class NeverConfirms(Scripted):
    """Accepts events, and sees those of `lost` never stored."""

    def __init__(self, *lost: str) -> None:
        super().__init__()
        self.lost = set(lost)
        self.answer = self.confirm

    async def confirm(self, events: Sequence[Event]) -> Sequence[Outcome]:
        if not any(event.id in self.lost for event in events):
            return [Delivered(event.id) for event in events]
        await asyncio.sleep(CONFIRM_DEADLINE)
        return [UNCONFIRMED if e.id in self.lost else Delivered(e.id) for e in events]


async def deliver(relay: Relay, name: str) -> Outcome:
    """Deliver the event as often as the queue does."""
    while True:
        outcome = await relay.submit(name)[0]
        if not isinstance(outcome, Retry):
            return outcome
        await asyncio.sleep(outcome.after or QUEUE_DELAY)


def test_events_that_are_accepted_and_never_confirmed_are_stuck_after_three_minutes() -> None:
    async def main() -> None:
        names = [f"e-{i}" for i in range(40)]
        relay = Relay(NeverConfirms(*names))
        tasks = [asyncio.create_task(deliver(relay, name)) for name in names]
        await asyncio.sleep(CONFIRM_DEADLINE + AFTER - 1)
        assert relay.forwarder.stuck(AFTER) is None
        await asyncio.sleep(2)
        found = relay.forwarder.stuck(AFTER)
        assert found is not None
        assert UNCONFIRMED.reason in found.reason
        assert "(and 39 more)" in found.reason
        assert relay.forwarder.state.circuit == "closed"
        await asyncio.sleep(1_000)
        assert relay.forwarder.stuck(AFTER) is not None
        for task in tasks:
            task.cancel()

    run(main)


def test_one_event_among_delivered_ones_is_stuck_once_it_has_failed_again() -> None:
    async def main() -> None:
        destination = NeverConfirms("lost")
        relay = Relay(destination)
        task = asyncio.create_task(deliver(relay, "lost"))

        async def traffic() -> None:
            for number in range(1_000):
                await relay.submit(f"good-{number}")[0]
                await asyncio.sleep(10)

        others = asyncio.create_task(traffic())
        await asyncio.sleep(CONFIRM_DEADLINE + QUEUE_DELAY)
        assert relay.forwarder.stuck(AFTER) is None
        await asyncio.sleep(2 * CONFIRM_DEADLINE)
        assert relay.forwarder.stuck(AFTER) is not None
        destination.lost.clear()
        assert isinstance(await task, Delivered)
        assert relay.forwarder.stuck(AFTER) is None
        others.cancel()

    run(main)


def test_an_event_that_is_delivered_by_the_second_attempt_is_not_stuck_in_between() -> None:
    async def main() -> None:
        destination = NeverConfirms("slow")
        relay = Relay(destination)
        assert await relay.submit("slow")[0] == UNCONFIRMED
        destination.lost.clear()
        await asyncio.sleep(QUEUE_DELAY)
        assert relay.forwarder.stuck(AFTER) is None
        assert isinstance(await relay.submit("slow")[0], Delivered)
        assert relay.forwarder.stuck(0.0) is None

    run(main)


def test_an_event_that_fails_alone_with_no_other_event_to_compare_is_stuck() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.poison["only"] = Failure(bad_gateway)
        relay = Relay(destination)
        (task,) = relay.submit("only")
        await asyncio.sleep(AFTER + 60)
        found = relay.forwarder.stuck(AFTER)
        assert (relay.forwarder.state.circuit, found is not None) == ("closed", True)
        task.cancel()

    run(main)


def test_an_event_that_failed_alone_and_is_withdrawn_is_no_longer_stuck() -> None:
    """Its message is dead-lettered because the queue was about to delete it."""

    async def main() -> None:
        destination = Scripted()
        destination.poison["only"] = Failure(bad_gateway)
        relay = Relay(destination)
        (task,) = relay.submit("only")
        await asyncio.sleep(AFTER + 60)
        assert relay.forwarder.stuck(AFTER) is not None
        task.cancel()
        await asyncio.wait([task])
        assert relay.forwarder.stuck(0.0) is None

    run(main)


@pytest.mark.parametrize("kind", POISONS)
def test_a_poison_event_that_is_on_its_way_to_be_rejected_is_not_stuck(kind: str) -> None:
    async def main() -> None:
        destination = Scripted()
        destination.poison["bad"] = POISONS[kind]
        relay = Relay(destination)
        task = asyncio.create_task(deliver(relay, "bad"))
        while not task.done():
            await relay.submit(f"good-{now()}")[0]
            assert relay.forwarder.stuck(AFTER) is None
            await asyncio.sleep(10)
        assert isinstance(task.result(), Reject)
        assert now() > 1_800

    run(main)


def test_an_outage_of_six_hours_leaves_nothing_stuck_when_it_is_over() -> None:
    async def main() -> None:
        destination = Scripted()
        relay = Relay(destination)
        for failure in (bad_gateway, refused_connection):
            destination.down = Failure(failure)
            tasks = relay.submit(*[f"{failure.__name__}-{i}" for i in range(50)])
            for _ in range(360):
                await asyncio.sleep(60)
                assert relay.forwarder.stuck(AFTER) is None
            destination.down = None
            while not all(task.done() for task in tasks):
                await asyncio.sleep(1)
                assert relay.forwarder.stuck(AFTER) is None
        assert relay.forwarder.stuck(0.0) is None

    run(main)


def test_a_circuit_that_closes_again_and_again_does_not_hide_that_nothing_is_delivered() -> None:
    """A probe is accepted, which closes the circuit, and the events after it fail."""
    time = 0.0
    found = Undelivered(setting="RELAY_CONFIRM", clock=lambda: time)
    for _ in range(10):
        for key in ("a", "b"):
            found.failed(key, "502")
        time += 30
        found.follow(closed=False)
        time += 600
        found.follow(closed=True)
    stuck = found.stuck(AFTER)
    assert stuck is not None
    assert stuck.setting == "RELAY_CONFIRM"
    assert "for 300 s" in stuck.reason


def test_an_event_that_another_relay_delivered_is_forgotten() -> None:
    time = 0.0
    found = Undelivered(clock=lambda: time)
    found.failed("a", "no")
    found.failed("a", "no")
    time = FORGOTTEN_AFTER
    assert found.stuck(AFTER) is not None
    time += 1
    assert found.stuck(AFTER) is None
    assert not found.entries


def test_a_flood_of_failures_takes_bounded_memory() -> None:
    found = Undelivered()
    for number in range(3 * MOST):
        found.failed(str(number), "no")
    assert len(found.entries) == MOST


def test_the_setting_of_the_failure_comes_before_the_usual_one() -> None:
    time = 0.0
    found = Undelivered(setting="RELAY_ARGO_URL", clock=lambda: time)
    found.failed("a", "403", "RELAY_ARGO_TOKEN")
    found.failed("a", "502")
    time = AFTER
    stuck = found.stuck(AFTER)
    assert stuck is not None
    assert stuck.setting == "RELAY_ARGO_TOKEN"


def test_nothing_is_noted_while_everything_is_delivered() -> None:
    async def main() -> None:
        relay = Relay(Scripted())
        await asyncio.gather(*relay.submit(*map(str, range(500))))
        assert relay.forwarder.stuck(0.0) is None

    run(main)


def test_a_stop_leaves_nothing_stuck() -> None:
    async def main() -> None:
        relay = Relay(NeverConfirms("lost"))
        (task,) = relay.submit("lost")
        await asyncio.sleep(1)
        await relay.forwarder.stop(0.0)
        assert await task == Retry("stopping")
        await asyncio.sleep(0)
        assert relay.forwarder.stuck(0.0) is None

    run(main)
