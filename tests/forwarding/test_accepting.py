"""Accepting: during an outage no message is taken, except one where there is none to probe with."""

from __future__ import annotations

import asyncio

from relay.model.outcome import Delivered
from tests.forwarding.scripted import (
    Failure,
    Relay,
    Scripted,
    bad_gateway,
    event,
    refused_connection,
)
from tests.forwarding.strict import NAMES
from tests.forwarding.virtual_time import now, run


def test_no_message_is_accepted_in_an_outage_while_an_event_is_there_to_probe_with() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(refused_connection)
        relay = Relay(destination)
        assert relay.forwarder.accepting
        tasks = relay.submit("held")
        accepting_at = asyncio.create_task(later(relay))
        for _ in range(100):
            await asyncio.sleep(7)
            assert not relay.forwarder.accepting
        assert relay.forwarder.down_for > 600
        destination.down = None
        await asyncio.gather(*tasks)
        assert relay.forwarder.accepting
        assert relay.forwarder.down_for == 0
        assert await accepting_at > 700

    run(main)


def test_one_message_is_accepted_when_no_event_is_in_flight_to_probe_with() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(refused_connection)
        relay = Relay(destination)
        held = relay.submit("gives-up")[0]
        await asyncio.sleep(0.1)
        held.cancel()
        await asyncio.sleep(0.1)
        assert not relay.forwarder.accepting
        assert relay.forwarder.down_for > 0
        await relay.forwarder.wait_accepting()
        assert relay.forwarder.down_for == 0, "it can take an event as a probe"
        destination.down = None
        assert isinstance(await relay.forwarder.submit(event("probe")), Delivered)
        assert relay.forwarder.state.circuit == "closed"

    run(main)


def test_one_message_is_accepted_when_all_events_in_flight_may_be_at_fault() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.poison |= {"bad-1": Failure(bad_gateway), "bad-2": Failure(bad_gateway)}
        relay = Relay(destination)
        bad = relay.submit("bad-1", "bad-2")
        await relay.change()
        assert not relay.forwarder.accepting
        await relay.forwarder.wait_accepting()
        assert isinstance(await relay.forwarder.submit(event("good")), Delivered)
        assert relay.forwarder.state.circuit == "closed"
        for task in bad:
            task.cancel()

    run(main)


def test_a_six_hour_outage_accepts_few_messages_and_loses_none() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(bad_gateway)
        relay = Relay(destination)
        tasks = relay.submit(*NAMES[:3])
        up_again = asyncio.get_running_loop().call_later(
            6 * 3_600, lambda: setattr(destination, "down", None)
        )
        while now() < 6 * 3_600:
            await relay.forwarder.wait_accepting()
            tasks += relay.submit(f"more-{len(tasks)}")
            await asyncio.sleep(0.2)
        assert up_again.when() <= now()
        assert len(tasks) < 100
        assert all(isinstance(outcome, Delivered) for outcome in await asyncio.gather(*tasks))
        assert [change.state for change in relay.changes] == ["open", "closed"]

    run(main)


async def later(relay: Relay) -> float:
    await asyncio.sleep(0.1)
    await relay.forwarder.wait_accepting()
    return now()
