"""Holding: events in flight wait for the circuit to close, and a cancelled event is not sent."""

from __future__ import annotations

import asyncio
import itertools

from relay.model.destination import Unavailable
from relay.model.outcome import Delivered
from tests.forwarding.scripted import (
    Failure,
    Relay,
    Scripted,
    bad_gateway,
    event,
    key_not_found,
    refused_connection,
)
from tests.forwarding.virtual_time import now, run

MANY = [f"e-{i}" for i in range(300)]


def test_an_outage_is_reported_once_at_its_start_and_once_at_its_end_with_its_length() -> None:
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


def test_there_is_one_probe_at_a_time_and_each_is_a_different_single_event() -> None:
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


def test_requests_grow_gradually_after_an_outage() -> None:
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


def test_an_event_cancelled_during_an_outage_is_never_sent() -> None:
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
        assert relay.forwarder.state.in_flight == 0

    run(main)


def test_cancelling_an_event_on_the_wire_does_not_cancel_its_request() -> None:
    async def main() -> None:
        destination = Scripted()
        relay = Relay(destination)
        tasks = relay.submit("stays", "leaves")
        await asyncio.sleep(0.01)
        tasks[1].cancel()
        assert isinstance(await tasks[0], Delivered)
        assert destination.accepted == {"stays", "leaves"}

    run(main)


def test_a_halt_looks_the_secret_up_again_before_each_probe_and_recovers() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(key_not_found)

        def correct_secret() -> None:
            lookups.append(now())
            if len(lookups) == 3:
                destination.down = None

        lookups: list[float] = []
        relay = Relay(destination, correct_secret)
        outcome = await relay.forwarder.submit(event("held"))
        assert isinstance(outcome, Delivered)
        assert len(lookups) == 3
        assert all(b - a > 20 for a, b in itertools.pairwise(lookups))
        assert [change.state for change in relay.changes] == ["halted", "closed"]
        assert relay.changes[0].setting == "RELAY_INNGEST_EVENT_KEY"

    run(main)


def test_a_failed_lookup_is_a_failed_probe() -> None:
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
