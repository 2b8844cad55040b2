"""What every destination must do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from msgspec.structs import replace

from relay.forwarding import Forwarder
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.facts import CircuitChanged, Fact
from relay.model.outcome import Delivered, Reject
from tests.destinations.conformance.setups import Setup


def event(event_id: str = "e-1", data: str = '{"n": 1.10}') -> Event:
    return Event(id=event_id, name="order/placed", data=data.encode())


def needs_controls(setup: Setup) -> None:
    if not setup.controls:
        pytest.skip("a real server cannot be made to fail")


def expected_starts(setup: Setup, count: int) -> int:
    """How many things run after `count` starts with one id."""
    return 1 if setup.traits.recognised_by else count


async def test_an_event_is_started_under_its_id_once(setup: Setup) -> None:
    (first,) = await setup.destination.send([event()])
    (again,) = await setup.destination.send([event()])
    assert isinstance(first, Delivered)
    assert isinstance(again, Delivered)
    assert not first.duplicate
    assert await setup.started() == expected_starts(setup, 2)


async def test_an_id_with_other_content_starts_nothing_new(setup: Setup) -> None:
    await setup.destination.send([event()])
    (again,) = await setup.destination.send([event(data='{"n": 2}')])
    assert isinstance(again, Delivered)
    assert await setup.started() == expected_starts(setup, 2)
    if setup.traits.reports_duplicates:
        assert again.duplicate
    if setup.sees_conflicts:
        assert [one.id for one in setup.conflicts] == ["e-1"]


async def test_a_hundred_concurrent_sends_with_one_id_start_one(setup: Setup) -> None:
    sends = [setup.destination.send([event()]) for _ in range(100)]
    outcomes = [outcome for (outcome,) in await asyncio.gather(*sends)]
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    assert await setup.started() == expected_starts(setup, 100)


async def test_outcomes_have_the_number_and_order_of_the_events(setup: Setup) -> None:
    events = [event(f"e-{i}") for i in range(12)]
    outcomes = await setup.destination.send(events)
    assert len(outcomes) == 12
    assert await setup.started() == 12
    if setup.traits.reports_duplicates:
        alone = [(await setup.destination.send([one]))[0] for one in events]
        assert [o.reference for o in alone if isinstance(o, Delivered)] == [
            o.reference for o in outcomes if isinstance(o, Delivered)
        ]


async def test_an_event_that_is_too_large_is_rejected_without_a_request(setup: Setup) -> None:
    most = setup.traits.event_bytes
    if most is None or setup.traits.max_batch_events > 1:
        pytest.skip("no limit is known, or the decoder enforces it")
    large = event("large", data='{"x":"' + "x" * most + '"}')
    outcomes = await setup.destination.send([event("a"), large, event("b")])
    assert isinstance(outcomes[0], Delivered)
    assert isinstance(outcomes[1], Reject)
    assert outcomes[1].code == "too_large_for_destination"
    assert isinstance(outcomes[2], Delivered)
    assert await setup.started() == 2


async def test_throttling_is_proven_and_says_how_long_to_wait(setup: Setup) -> None:
    needs_controls(setup)
    date = datetime.now(UTC) + timedelta(seconds=120)
    for after, least, most in (("7", 7.0, 7.0), (format_datetime(date, usegmt=True), 60, 121)):
        setup.throttle(after)
        with pytest.raises(Unavailable) as caught:
            await setup.destination.send([event()])
        assert caught.value.proven
        assert caught.value.setting is None
        if setup.reports_wait:
            assert caught.value.after is not None
            assert least <= caught.value.after <= most
    assert await setup.started() == 0


async def test_a_lost_answer_has_an_unknown_end_and_a_retry_starts_nothing_twice(
    setup: Setup,
) -> None:
    needs_controls(setup)
    setup.lose_answer()
    with pytest.raises(Unavailable) as caught:
        await setup.destination.send([event()])
    assert not caught.value.not_accepted
    assert caught.value.setting is None
    (again,) = await setup.destination.send([event()])
    assert isinstance(again, Delivered)
    assert await setup.started() == expected_starts(setup, 2)


async def test_an_invalid_credential_halts(setup: Setup) -> None:
    needs_controls(setup)
    setup.deny()
    halted = asyncio.Event()

    def observe(fact: Fact) -> None:
        if isinstance(fact, CircuitChanged):
            halted.set()

    forwarder = Forwarder(setup.destination, observe=observe)
    submits = [asyncio.ensure_future(forwarder.submit(event(f"e-{i}"))) for i in range(3)]
    await halted.wait()
    state = forwarder.state
    await forwarder.stop(0)
    await asyncio.gather(*submits)
    assert state.setting is not None
    assert state.setting.startswith("RELAY_")
    assert await setup.started() == 0


async def test_ids_of_any_form_stay_apart(setup: Setup) -> None:
    ids = ["a", "A", "a ", "12345", "ü/é?#", "a:b", "x" * 600, "relay-" + "0" * 40, "0"]
    for one in ids:
        (outcome,) = await setup.destination.send([event(one)])
        assert isinstance(outcome, Delivered), one
    assert await setup.started() == len(ids)


async def test_nothing_is_lost_while_the_destination_throttles(
    setup: Setup,
) -> None:
    needs_controls(setup)
    setup.throttle("0")
    forwarder = Forwarder(setup.destination)
    events = [replace(event(f"e-{i}"), ts=1_700_000_000_000) for i in range(30)]
    outcomes = await asyncio.gather(*(forwarder.submit(one) for one in events))
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    assert await setup.started() == 30
    await forwarder.stop(1)
