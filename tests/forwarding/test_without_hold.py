"""Where nothing may wait for minutes, events are given back at once while none can be sent."""

from __future__ import annotations

import asyncio

import pytest

from relay.model.outcome import Delivered, Outcome, Retry
from tests.forwarding.scripted import (
    Failure,
    Relay,
    Scripted,
    bad_gateway,
    key_not_found,
    refused_connection,
)
from tests.forwarding.virtual_time import now, run

TEN = [f"e-{i}" for i in range(10)]
OUTAGES = pytest.mark.parametrize("error", [refused_connection, bad_gateway, key_not_found])


async def outcomes(relay: Relay, *names: str) -> list[Outcome]:
    return await asyncio.gather(*relay.submit(*names))


@OUTAGES
def test_all_events_are_given_back_when_the_circuit_opens_and_while_it_is_open(
    error: object,
) -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(error)  # type: ignore[arg-type] # one of the three above
        relay = Relay(destination, hold=False)
        for _ in range(2):
            found = await outcomes(relay, *TEN)
            assert all(isinstance(outcome, Retry) for outcome in found)
            assert now() < 0.5  # the first probe would be due after half a second
        sent = len(destination.requests)
        reasons = {getattr(one, "reason", "") for one in await outcomes(relay, *TEN)}
        assert len(destination.requests) == sent
        assert all("unavailable" in reason for reason in reasons)

    run(main)


@OUTAGES
def test_when_a_probe_is_due_one_event_is_sent_and_the_others_follow_its_success(
    error: object,
) -> None:
    async def main() -> None:
        destination = Scripted()
        destination.down = Failure(error)  # type: ignore[arg-type] # one of the three above
        relay = Relay(destination, hold=False)
        await outcomes(relay, *TEN)
        await asyncio.sleep(60)
        sent = len(destination.requests)
        assert all(isinstance(one, Retry) for one in await outcomes(relay, *TEN))
        assert destination.sizes[sent:] == [1]
        destination.down = None
        await asyncio.sleep(60)
        assert all(isinstance(one, Delivered) for one in await outcomes(relay, *TEN))
        assert destination.sizes[sent + 1 :][0] == 1

    run(main)


def test_what_is_on_the_wire_when_the_circuit_opens_keeps_its_own_outcome() -> None:
    async def main() -> None:
        destination = Scripted(max_events=1)
        relay = Relay(destination, hold=False)
        destination.poison = {"e-0": Failure(refused_connection, 0.001)}
        found = await outcomes(relay, *TEN)
        accepted = {f"ref-{name}" for name in destination.accepted}
        assert isinstance(found[0], Retry)
        delivered = {one.reference for one in found if isinstance(one, Delivered)}
        assert delivered == accepted
        assert accepted

    run(main)


def test_an_event_that_fails_alone_with_no_other_is_given_back_after_three_attempts() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.poison = {"e-0": Failure(bad_gateway)}
        relay = Relay(destination, hold=False)
        (outcome,) = await outcomes(relay, "e-0")
        assert isinstance(outcome, Retry)
        assert outcome.after is not None
        assert destination.sizes == [1, 1, 1]
        assert now() < 10.0
        assert (await outcomes(relay, "e-1"))[0] == Delivered("ref-e-1")

    run(main)


def test_a_poison_event_leaves_its_neighbours_alone() -> None:
    async def main() -> None:
        destination = Scripted()
        destination.poison = {"e-3": Failure(bad_gateway)}
        relay = Relay(destination, hold=False)
        found = await outcomes(relay, *TEN)
        waiting = [n for n, one in zip(TEN, found, strict=True) if isinstance(one, Retry)]
        assert waiting == ["e-3"]
        assert destination.accepted == set(TEN) - {"e-3"}

    run(main)
