"""Holding: what is in hand waits for the way to be free, and nothing is sent for nobody."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from relay.message import Delivered, Retry, Unavailable
from tests.forwarder.scripted import (
    LATENCY,
    Failure,
    Relay,
    Scripted,
    bad_gateway,
    event,
    key_not_found,
    refused_connection,
)
from tests.forwarder.virtual_time import now, run

MANY = [f"e-{i}" for i in range(300)]


def test_an_outage_is_stated_at_its_start_and_at_its_end_with_its_length() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(refused_connection)
        relay = Relay(destination)
        tasks = relay.submit(*MANY)
        await asyncio.sleep(1_000)
        destination.down = None
        assert all(isinstance(outcome, Delivered) for outcome in await asyncio.gather(*tasks))
        start, end = relay.changes
        assert (start.state, start.reason) == ("open", "connection refused")
        assert end.state == "closed"
        assert 1_000 < end.seconds < 1_025

    run(main)


def test_one_probe_at_a_time_tests_the_way_and_each_is_one_event_and_another() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(bad_gateway, 5.0)
        relay = Relay(destination)
        tasks = relay.submit(*MANY)
        change = await relay.change()
        before = len(destination.requests)
        assert change.state == "open"
        await asyncio.sleep(600)
        probes = destination.requests[before:]
        assert 20 < len(probes) < 45
        assert all(len(probe.ids) == 1 for probe in probes)
        names = [probe.ids[0] for probe in probes]
        assert len(names) == len(set(names))
        assert all(b.at - a.at > 5 for a, b in itertools.pairwise(probes))
        for task in tasks:
            task.cancel()

    run(main)


def test_requests_grow_after_an_outage_instead_of_bursting() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(refused_connection)
        relay = Relay(destination)
        tasks = relay.submit(*MANY)
        await asyncio.sleep(60)
        destination.down = None
        done = len(destination.requests)
        await asyncio.gather(*tasks)
        after = [len(r.ids) for r in destination.requests[done:]]
        assert after[:7] == [1, 2, 4, 8, 16, 32, 64]
        starts = [r.at for r in destination.requests[done:]][:7]
        assert all(b - a > 0.019 for a, b in itertools.pairwise(starts))

    run(main)


def test_a_waiter_that_gives_up_during_an_outage_is_never_sent() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(refused_connection)
        relay = Relay(destination)
        tasks = relay.submit("stays", "leaves")
        await asyncio.sleep(0.5)
        tasks[1].cancel()
        await asyncio.sleep(0.1)
        sent = len(destination.requests)
        destination.down = None
        await tasks[0]
        assert "leaves" not in {i for r in destination.requests[sent:] for i in r.ids}
        assert relay.forwarder.state.in_hand == 0

    run(main)


def test_a_waiter_that_gives_up_on_the_wire_leaves_the_request_alone() -> None:
    async def main() -> None:
        destination = Scripted()
        relay = Relay(destination)
        tasks = relay.submit("stays", "leaves")
        await asyncio.sleep(0.01)
        tasks[1].cancel()
        assert isinstance(await tasks[0], Delivered)
        assert destination.accepted == {"stays", "leaves"}

    run(main)


def test_what_was_accepted_after_its_waiter_left_may_have_run_until_somebody_hears_of_it() -> None:
    async def main() -> None:
        destination = Scripted()
        relay = Relay(destination)
        (task,) = relay.submit("left")
        await asyncio.sleep(LATENCY / 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert relay.forwarder.may_have_run("left"), "on the wire"
        await asyncio.sleep(LATENCY)
        assert destination.accepted == {"left"}
        assert relay.forwarder.may_have_run("left"), "accepted, and nobody was told"
        await asyncio.gather(*relay.submit("left"))
        assert not relay.forwarder.may_have_run("left")

    run(main)


def test_what_no_byte_was_sent_of_has_not_run() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(refused_connection)
        relay = Relay(destination)
        (task,) = relay.submit("held")
        await relay.change()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not relay.forwarder.may_have_run("held")

    run(main)


def test_a_halt_looks_the_secret_up_again_before_each_probe_and_recovers_by_itself() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(key_not_found)

        def mend() -> None:
            lookups.append(now())
            if len(lookups) == 3:
                destination.down = None

        lookups: list[float] = []
        relay = Relay(destination, mend)
        outcome = await relay.forwarder.submit(event("held"))
        assert isinstance(outcome, Delivered)
        assert len(lookups) == 3
        assert all(b - a > 20 for a, b in itertools.pairwise(lookups))
        assert [change.state for change in relay.changes] == ["halted", "closed"]
        assert relay.changes[0].setting == "RELAY_INNGEST_EVENT_KEY"

    run(main)


def test_a_lookup_that_fails_is_a_failed_probe() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(key_not_found)
        failures = iter([Unavailable("secrets are denied", setting="RELAY_SECRET", proven=True)])

        def lookup() -> None:
            for failure in failures:
                raise failure
            destination.down = None

        relay = Relay(destination, lookup)
        task = relay.submit("held")[0]
        await asyncio.sleep(40)
        assert relay.forwarder.state.setting == "RELAY_SECRET"
        assert isinstance(await task, Delivered)

    run(main)


def test_nothing_new_is_wanted_during_an_outage_while_there_is_something_to_probe_with() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(refused_connection)
        relay = Relay(destination)
        assert relay.forwarder.accepting
        tasks = relay.submit("held")
        wanted = asyncio.create_task(later(relay))
        for _ in range(100):
            await asyncio.sleep(7)
            assert not relay.forwarder.accepting
        destination.down = None
        await asyncio.gather(*tasks)
        assert relay.forwarder.accepting
        assert await wanted > 700

    run(main)


def test_one_more_is_wanted_when_nothing_is_in_hand_to_probe_with() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(refused_connection)
        relay = Relay(destination)
        held = relay.submit("gives-up")[0]
        await asyncio.sleep(0.1)
        held.cancel()
        await asyncio.sleep(0.1)
        assert not relay.forwarder.accepting
        await relay.forwarder.wait_accepting()
        destination.down = None
        assert isinstance(await relay.forwarder.submit(event("probe")), Delivered)
        assert relay.forwarder.state.circuit == "closed"

    run(main)


def test_one_more_is_wanted_when_all_in_hand_may_be_at_fault_themselves() -> None:
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


def test_six_hours_of_outage_take_few_messages_more_and_lose_none() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(bad_gateway)
        relay = Relay(destination)
        tasks = relay.submit(*MANY[:3])
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


def test_stopping_finishes_what_is_on_the_wire_and_returns_the_rest() -> None:
    async def main() -> None:
        destination = Scripted(max_events=2)
        relay = Relay(destination)
        tasks = relay.submit(*MANY[:10])
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


def test_stopping_cuts_off_what_is_on_the_wire_at_the_deadline() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.poison["hangs"] = Failure(bad_gateway, 1_000.0)
        relay = Relay(destination)
        task = relay.submit("hangs")[0]
        await asyncio.sleep(1)
        await relay.forwarder.stop(20.0)
        assert now() == pytest.approx(21)
        assert await task == Retry("stopping")
        assert destination.under_way == 0
        assert relay.forwarder.may_have_run("hangs")

    run(main)


def test_stopping_during_an_outage_returns_what_is_held_at_once() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(bad_gateway)
        relay = Relay(destination)
        tasks = relay.submit(*MANY[:5])
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


async def later(relay: Relay) -> float:
    await asyncio.sleep(0.1)
    await relay.forwarder.wait_accepting()
    return now()
