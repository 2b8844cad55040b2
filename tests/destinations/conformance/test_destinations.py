"""What every destination must do, each in its own way."""

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
from tests.destinations.conformance.sides import Side


def event(event_id: str = "e-1", data: str = '{"n": 1.10}') -> Event:
    return Event(id=event_id, name="order/placed", data=data.encode())


def needs_levers(side: Side) -> None:
    if not side.levers:
        pytest.skip("a real server does not go wrong when it is told to")


def of_each_id(side: Side, count: int) -> int:
    """How many things run after so many starts under one id."""
    return 1 if side.traits.recognised_by else count


async def test_an_event_is_started_under_its_id_once(side: Side) -> None:
    (first,) = await side.destination.send([event()])
    (again,) = await side.destination.send([event()])
    assert isinstance(first, Delivered)
    assert isinstance(again, Delivered)
    assert not first.duplicate
    assert await side.started() == of_each_id(side, 2)


async def test_an_id_with_another_content_starts_nothing_new(side: Side) -> None:
    await side.destination.send([event()])
    (again,) = await side.destination.send([event(data='{"n": 2}')])
    assert isinstance(again, Delivered)
    assert await side.started() == of_each_id(side, 2)
    if side.traits.reports_duplicates:
        assert again.duplicate
    if side.sees_conflicts:
        assert [one.id for one in side.conflicts] == ["e-1"]


async def test_a_hundred_at_once_with_one_id_start_one(side: Side) -> None:
    sends = [side.destination.send([event()]) for _ in range(100)]
    outcomes = [outcome for (outcome,) in await asyncio.gather(*sends)]
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    assert await side.started() == of_each_id(side, 100)


async def test_outcomes_have_the_number_and_order_of_the_events(side: Side) -> None:
    events = [event(f"e-{i}") for i in range(12)]
    outcomes = await side.destination.send(events)
    assert len(outcomes) == 12
    assert await side.started() == 12
    if side.traits.reports_duplicates:
        alone = [(await side.destination.send([one]))[0] for one in events]
        assert [o.reference for o in alone if isinstance(o, Delivered)] == [
            o.reference for o in outcomes if isinstance(o, Delivered)
        ]


async def test_what_is_too_large_is_refused_before_anybody_is_asked(side: Side) -> None:
    most = side.traits.event_bytes
    if most is None or side.traits.max_batch_events > 1:
        pytest.skip("nobody knows of a limit here, or the decoder keeps to it")
    large = event("large", data='{"x":"' + "x" * most + '"}')
    outcomes = await side.destination.send([event("a"), large, event("b")])
    assert isinstance(outcomes[0], Delivered)
    assert isinstance(outcomes[1], Reject)
    assert outcomes[1].code == "too_large_for_destination"
    assert isinstance(outcomes[2], Delivered)
    assert await side.started() == 2


async def test_a_plea_for_fewer_is_about_the_destination_and_says_how_long(side: Side) -> None:
    needs_levers(side)
    date = datetime.now(UTC) + timedelta(seconds=120)
    for after, least, most in (("7", 7.0, 7.0), (format_datetime(date, usegmt=True), 60, 121)):
        side.complain(after)
        with pytest.raises(Unavailable) as caught:
            await side.destination.send([event()])
        assert caught.value.proven
        assert caught.value.setting is None
        if side.tells_wait:
            assert caught.value.after is not None
            assert least <= caught.value.after <= most
    assert await side.started() == 0


async def test_a_lost_answer_leaves_it_open_and_a_second_try_starts_nothing_twice(
    side: Side,
) -> None:
    needs_levers(side)
    side.lose()
    with pytest.raises(Unavailable) as caught:
        await side.destination.send([event()])
    assert not caught.value.not_accepted
    assert caught.value.setting is None
    (again,) = await side.destination.send([event()])
    assert isinstance(again, Delivered)
    assert await side.started() == of_each_id(side, 2)


async def test_a_credential_that_is_not_good_halts(side: Side) -> None:
    needs_levers(side)
    side.deny()
    halted = asyncio.Event()

    def observe(fact: Fact) -> None:
        if isinstance(fact, CircuitChanged):
            halted.set()

    forwarder = Forwarder(side.destination, observe=observe)
    submits = [asyncio.ensure_future(forwarder.submit(event(f"e-{i}"))) for i in range(3)]
    await halted.wait()
    state = forwarder.state
    await forwarder.stop(0)
    await asyncio.gather(*submits)
    assert state.setting is not None
    assert state.setting.startswith("RELAY_")
    assert await side.started() == 0


async def test_ids_of_any_form_stay_apart(side: Side) -> None:
    ids = ["a", "A", "a ", "12345", "ü/é?#", "a:b", "x" * 600, "relay-" + "0" * 40, "0"]
    for one in ids:
        (outcome,) = await side.destination.send([event(one)])
        assert isinstance(outcome, Delivered), one
    assert await side.started() == len(ids)


async def test_nothing_is_lost_through_the_forwarder_while_the_destination_complains(
    side: Side,
) -> None:
    needs_levers(side)
    side.complain("0")
    forwarder = Forwarder(side.destination)
    events = [replace(event(f"e-{i}"), ts=1_700_000_000_000) for i in range(30)]
    outcomes = await asyncio.gather(*(forwarder.submit(one) for one in events))
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    assert await side.started() == 30
    await forwarder.stop(1)
