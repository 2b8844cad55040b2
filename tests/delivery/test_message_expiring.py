"""Messages that the queue is about to delete are dead-lettered in time."""

from __future__ import annotations

import asyncio

import pytest

from relay.delivery.retention import EXPIRING_SHARE, GRACE
from relay.model.outcome import Delivered, Reject, Retry
from tests.delivery.handler_rig import DAY, NOW, HandlerRig, event, message, origin, turns


@pytest.mark.parametrize("ambiguous", [False, True])
async def test_a_wait_ends_before_the_queue_deletes_the_message(ambiguous: bool) -> None:
    rig = HandlerRig({"m-1": None})
    if ambiguous:
        rig.forwarder.ambiguous.add("m-1")
    task = asyncio.create_task(
        rig.handler.handle(message(event(), sent_at=NOW - 10 * DAY * EXPIRING_SHARE + 100))
    )
    await turns()
    rig.handler.expire()
    await turns()
    assert not task.done()
    rig.now += 101 + GRACE
    rig.handler.expire()
    outcome = await task
    assert isinstance(outcome, Reject)
    assert outcome.code == "expiring"
    assert origin(rig.store.copies[0]).may_have_run is ambiguous


@pytest.mark.parametrize(
    ("receives", "doubtful"),
    [([1], False), ([1, 1, 2, 3], False), ([2], True), ([1, 3], True), ([3, 3], True)],
)
async def test_a_message_that_another_process_received_may_have_run(
    receives: list[int], doubtful: bool
) -> None:
    rig = HandlerRig({"m-1": Retry("later")})
    for count in receives[:-1]:
        await rig.handler.handle(message(event(), sent_at=NOW, receive_count=count))
    rig.now += 9.5 * DAY
    await rig.handler.handle(message(event(), sent_at=NOW, receive_count=receives[-1]))
    assert origin(rig.store.copies[0]).may_have_run is doubtful


async def test_an_array_that_was_partly_delivered_before_it_expired_may_have_run() -> None:
    rig = HandlerRig({"m-1.1": None})
    task = asyncio.create_task(rig.handler.handle(message([event(), event()], sent_at=NOW)))
    await turns()
    task.cancel()  # the hold ends; the message is delivered again while the outage goes on
    await asyncio.gather(task, return_exceptions=True)
    rig.forwarder.answers["m-1.0"] = rig.forwarder.answers["m-1.1"] = Retry("later")
    rig.now += 9.5 * DAY
    again = message([event(), event()], sent_at=NOW, receive_count=2)
    await rig.handler.handle(again)
    assert origin(rig.store.copies[0]).pending == (1,)
    assert origin(rig.store.copies[0]).may_have_run


async def test_a_delivered_message_that_is_redelivered_and_expires_may_have_run() -> None:
    rig = HandlerRig()
    await rig.handler.handle(message(event(), sent_at=NOW))
    rig.forwarder.answers["m-1"] = Retry("later")
    rig.now += 9.5 * DAY
    await rig.handler.handle(message(event(), sent_at=NOW, receive_count=2))
    assert origin(rig.store.copies[0]).may_have_run


async def test_pending_events_did_not_run_because_others_of_their_array_did() -> None:
    rig = HandlerRig({"m-1.1": Retry("later")})
    old = message([event(), event()], sent_at=NOW - 9.5 * DAY)
    await rig.handler.handle(old)
    assert origin(rig.store.copies[0]).pending == (1,)
    assert not origin(rig.store.copies[0]).may_have_run


async def flooded(rig: HandlerRig) -> int:
    """Make the guard halt; returns the number of dead letters."""
    for n in range(60):
        await rig.handler.handle(message({"data": {}}, f"bad-{n}"))
    assert rig.handler.status.problem is not None
    return len(rig.store.copies)


async def test_an_array_that_expires_is_not_held_by_the_guard() -> None:
    rig = HandlerRig({"m-1.1": None})
    before = await flooded(rig)
    body = [{"data": {}}, event()]
    task = asyncio.create_task(rig.handler.handle(message(body, sent_at=NOW - 9.5 * DAY)))
    await turns()
    rig.now += 1 + GRACE
    rig.handler.expire()
    await task
    assert len(rig.store.copies) == before + 1


async def test_without_a_time_of_sending_the_first_receive_counts() -> None:
    rig = HandlerRig({"m-1": Retry("later")})
    first = NOW - 9.5 * DAY
    outcome = await rig.handler.handle(message(event(), first_received_at=first))
    assert isinstance(outcome, Reject)
    assert outcome.code == "expiring"


async def test_an_old_message_is_tried_and_then_expires_instead_of_waiting() -> None:
    old = NOW - 9.5 * DAY
    rig = HandlerRig({"bad": Retry("later")})
    assert isinstance(await rig.handler.handle(message(event(), sent_at=old)), Delivered)
    outcome = await rig.handler.handle(message(event(id="bad"), "m-2", sent_at=old))
    assert isinstance(outcome, Reject)
    assert outcome.code == "expiring"


async def test_a_message_held_by_the_guard_is_dead_lettered_before_the_queue_deletes_it() -> None:
    rig = HandlerRig()
    before = await flooded(rig)
    old = message({"data": {}}, "bad-59", sent_at=NOW - 8.9 * DAY)
    assert isinstance(await rig.handler.handle(old), Retry)
    rig.now += DAY
    assert isinstance(await rig.handler.handle(old), Reject)
    assert len(rig.store.copies) == before + 1
    assert origin(rig.store.copies[-1]).code == "missing_name"


async def test_an_expiring_message_does_not_wait_for_a_destination_that_is_known_to_be_down() -> (
    None
):
    rig = HandlerRig({"m-1.1": None})
    task = asyncio.create_task(rig.handler.handle(message([event(), event()], sent_at=NOW)))
    await turns()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    sent = list(rig.forwarder.sent)
    rig.now += 9.5 * DAY
    rig.forwarder.down_for = GRACE + 1
    outcome = await rig.handler.handle(message([event(), event()], sent_at=NOW, receive_count=2))
    assert isinstance(outcome, Reject)
    assert outcome.code == "expiring"
    assert rig.forwarder.sent == sent
    assert origin(rig.store.copies[0]).pending == (1,)


@pytest.mark.parametrize(
    ("down", "later", "tried"), [(True, 1.0, False), (True, GRACE, True), (False, 1.0, True)]
)
async def test_only_one_expiring_message_at_a_time_waits_for_a_destination_that_is_down(
    down: bool, later: float, tried: bool
) -> None:
    rig = HandlerRig({"m-1": None})
    waiting = asyncio.create_task(rig.handler.handle(message(event(), sent_at=NOW - 9.5 * DAY)))
    await turns()
    rig.now += GRACE
    rig.handler.expire()
    assert isinstance(await waiting, Reject)
    rig.forwarder.down = down  # and a probe is due, so that `down_for` is 0
    rig.now += later
    second = message(event(), "m-2", sent_at=NOW - 9.5 * DAY)
    assert isinstance(await rig.handler.handle(second), Delivered if tried else Reject)
    assert rig.forwarder.sent == (["m-1", "m-2"] if tried else ["m-1"])


@pytest.mark.parametrize(("age", "down_for"), [(8.9, GRACE + 1), (9.5, GRACE)])
async def test_a_message_waits_while_it_is_young_or_the_outage_is(
    age: float, down_for: float
) -> None:
    rig = HandlerRig({"m-1": None})
    rig.forwarder.down_for = down_for
    task = asyncio.create_task(rig.handler.handle(message(event(), sent_at=NOW - age * DAY)))
    await turns()
    assert rig.forwarder.sent == ["m-1"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_wait_is_ended_only_if_giving_the_message_back_would_lose_it() -> None:
    rig = HandlerRig({"m-1": None})
    one = message(event(), sent_at=NOW - 8 * DAY)
    task = asyncio.create_task(rig.handler.handle(one))
    await turns()
    assert not rig.handler.end_wait(one)
    rig.now += DAY
    assert rig.handler.end_wait(one)
    outcome = await task
    assert isinstance(outcome, Reject)
    assert outcome.code == "expiring"
    assert rig.handler.end_wait(one), "nothing to end is no reason to give it back"
