"""A message that is not settled although nothing is known to be wrong is a state of its own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from relay.app.readiness import LONGEST_IN_FLIGHT
from relay.delivery.in_flight import LONG
from relay.delivery.payloads import Payloads
from relay.forwarding.undelivered import Stuck
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Retry
from tests.delivery.handler_rig import NOW, event, message, turns
from tests.delivery.monitored_rig import AFTER, Monitored, UnreadablePayloads


async def test_a_message_in_flight_for_minutes_while_none_is_settled_is_stuck() -> None:
    rig = Monitored({"m-1": None})
    task = await rig.start(event())
    rig.now += AFTER - 1
    assert rig.ready()[0]
    rig.now += 1
    ready, answer = rig.ready()
    assert not ready
    assert answer["stuck"] is True
    assert answer["halted"] is False
    assert answer["circuit"] == "closed"
    assert "in flight for 180 s" in answer["reason"]
    assert answer["setting"] == "RELAY_MAX_IN_FLIGHT"
    task.cancel()
    await turns()
    assert rig.ready()[1]["in_flight"] == 0


async def test_while_others_are_settled_it_is_stuck_after_ten_minutes() -> None:
    rig = Monitored({"m-1": None})
    task = await rig.start(event())
    for number in range(int(LONGEST_IN_FLIGHT / 60)):
        assert rig.monitor.current is None
        rig.now += 60
        assert isinstance(await rig.handler.handle(message(event(), f"n-{number}")), Delivered)
    assert rig.monitor.current is not None
    task.cancel()


async def test_idle_is_not_stuck() -> None:
    rig = Monitored()
    await rig.handler.handle(message(event()))
    rig.now += 100_000
    assert rig.ready()[0]
    task = await rig.start(event(), "m-2")
    assert isinstance(await task, Delivered)
    assert rig.ready()[0]


@pytest.mark.parametrize("circuit", ["open", "half-open", "halted"])
async def test_what_an_outage_held_is_not_stuck_until_it_has_had_its_time(circuit: str) -> None:
    rig = Monitored({"m-1": None})
    task = await rig.start(event())
    rig.circuit = circuit
    rig.now += 6 * 3_600
    assert rig.ready()[1]["stuck"] is False
    rig.circuit = "closed"
    rig.now += AFTER - 1
    assert rig.ready()[0]
    rig.now += 1
    assert not rig.ready()[0]
    task.cancel()


async def test_start_and_end_are_reported_once() -> None:
    rig = Monitored({"m-1": None})
    task = await rig.start(event())
    rig.now += AFTER
    rig.monitor.check()
    rig.now += 60
    rig.monitor.check()
    (start,) = rig.changes
    assert start.stuck
    assert start.setting == "RELAY_MAX_IN_FLIGHT"
    task.cancel()
    await turns()
    rig.forwarder.answers = {}
    await rig.handler.handle(message(event(), "m-2"))
    rig.monitor.check()
    rig.monitor.check()
    _, end = rig.changes
    assert not end.stuck
    assert end.seconds == 60


async def test_a_payload_that_cannot_be_read_is_stuck() -> None:
    rig = Monitored(payloads=cast("Payloads", UnreadablePayloads()))
    for _ in range(2):
        assert isinstance(await rig.handler.handle(message({})), Retry)
        rig.now += 300
    assert rig.monitor.current is not None
    assert "AccessDenied" in rig.monitor.current.reason


async def test_messages_whose_handling_raises_are_stuck() -> None:
    def fail(_event: object) -> Any:
        raise KeyError("a defect of ours")

    rig = Monitored({"m-1": fail, "m-2": fail})
    for message_id in ("m-1", "m-2"):
        with pytest.raises(KeyError):
            await rig.handler.handle(message(event(), message_id))
    rig.now += AFTER
    assert rig.monitor.current is not None
    assert "KeyError" in rig.monitor.current.reason


async def test_a_message_that_is_given_back_after_each_hold_is_stuck() -> None:
    """In push mode a hold ends with 503, and the message comes again."""
    rig = Monitored({"m-1": None})
    for _ in range(2):
        task = await rig.start(event())
        rig.now += 2 * LONG
        task.cancel()
        await turns()
        assert isinstance(await rig.handler.handle(message(event(), "other")), Delivered)
        rig.now += AFTER
    assert rig.monitor.current is not None
    assert "given back" in rig.monitor.current.reason


async def test_messages_given_back_during_an_outage_are_not_stuck_after_it() -> None:
    rig = Monitored({"m-1": None, "m-2": None})
    for message_id in ("m-1", "m-2"):  # given back before the outage is noticed
        task = await rig.start(event(), message_id)
        rig.now += LONG
        task.cancel()
        await turns()
    rig.circuit = "open"
    for _ in range(3):
        task = await rig.start(event())
        assert rig.monitor.current is None
        rig.now += 10 * LONG
        task.cancel()
        await turns()
    rig.circuit = "closed"
    for number in range(10):
        assert rig.monitor.current is None
        assert isinstance(await rig.handler.handle(message(event(), f"n-{number}")), Delivered)
        rig.now += 60


async def test_a_failure_before_an_outage_and_one_after_it_take_their_time() -> None:
    rig = Monitored(payloads=cast("Payloads", UnreadablePayloads()))
    await rig.handler.handle(message({}))
    rig.now += AFTER
    rig.circuit = "open"
    assert rig.monitor.current is None
    rig.now += 600
    rig.circuit = "closed"
    assert rig.monitor.current is None
    await rig.handler.handle(message({}))
    rig.now += AFTER - 1
    assert rig.monitor.current is None
    rig.now += 1
    assert rig.monitor.current is not None


async def test_a_message_whose_events_are_delivered_one_by_one_is_not_stuck() -> None:
    """A rate limit makes an array of thousands of events take minutes."""
    rig = Monitored()
    count, released = 8, asyncio.Semaphore(0)

    async def submit(event: Event) -> Outcome:
        await released.acquire()
        return Delivered(event.id)

    rig.forwarder.submit = submit  # type: ignore[method-assign]
    task = await rig.start([event()] * count)
    for _ in range(count - 1):
        rig.now += AFTER - 1
        assert rig.ready()[0]
        released.release()
        await turns()
    assert rig.now - NOW > LONGEST_IN_FLIGHT
    assert rig.ready()[0]
    rig.now += AFTER
    assert not rig.ready()[0]
    released.release()
    assert isinstance(await task, Delivered)
    assert rig.ready()[0]


async def test_a_message_behind_a_slow_one_is_not_stuck_and_gets_its_time_when_it_is_next() -> None:
    rig = Monitored({"m-2": None})
    released = asyncio.Semaphore(0)
    submit = rig.forwarder.submit

    async def limited(event: Event) -> Outcome:
        if event.message_id == "m-1":
            await released.acquire()
        return await submit(event)

    rig.forwarder.submit = limited  # type: ignore[method-assign]
    first = await rig.start([event()] * 8)
    second = await rig.start(event(), "m-2")
    for _ in range(8):
        rig.now += AFTER - 1
        assert rig.ready()[0]
        released.release()
        await turns()
    assert isinstance(first.result(), Delivered)
    rig.now += AFTER - 1
    assert rig.ready()[0]
    rig.now += 1
    assert not rig.ready()[0]
    second.cancel()


async def test_delivered_arrays_do_not_hide_a_message_that_is_never_settled() -> None:
    rig = Monitored({"m-1": None})
    task = await rig.start(event())
    for number in range(int(LONGEST_IN_FLIGHT / 60)):
        assert rig.monitor.current is None
        rig.now += 60
        handled = rig.handler.handle(message([event(), event()], f"n-{number}"))
        assert isinstance(await handled, Delivered)
    assert rig.monitor.current is not None
    task.cancel()


async def test_a_message_that_is_settled_later_is_no_longer_stuck() -> None:
    payloads = UnreadablePayloads()
    rig = Monitored(payloads=cast("Payloads", payloads))
    for _ in range(2):
        await rig.handler.handle(message(event()))
        rig.now += 300
    assert rig.monitor.current is not None
    payloads.denying = False
    await rig.handler.handle(message(event()))
    assert rig.ready()[0]


async def test_a_stuck_destination_is_shown_with_its_reason_and_setting() -> None:
    rig = Monitored()
    rig.found = Stuck("temporal: an event not delivered for 181 s", "RELAY_TEMPORAL_ADDRESS")
    ready, answer = rig.ready()
    assert (ready, answer["reason"], answer["setting"]) == (
        False,
        "temporal: an event not delivered for 181 s",
        "RELAY_TEMPORAL_ADDRESS",
    )
    rig.circuit = "open"
    ready, answer = rig.ready()
    assert (ready, answer["stuck"], answer["reason"]) == (False, True, "refused")


async def test_an_event_that_waits_is_left_to_the_forwarder() -> None:
    rig = Monitored({"m-1": Retry("fails_alone: 502", 60.0)})
    for _ in range(5):
        await rig.handler.handle(message(event()))
        rig.now += 300
    assert rig.monitor.current is None


def test_a_reason_keeps_its_own_setting() -> None:
    rig = Monitored()
    rig.found = Stuck("x", None)
    assert rig.monitor.current == replace(rig.found, setting="RELAY_MAX_IN_FLIGHT")
