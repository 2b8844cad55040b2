"""Messages that the queue is about to delete: nobody waits for too long, and doubts are told."""

from __future__ import annotations

import asyncio

import pytest

from relay.delivery.handler import GRACE
from relay.delivery.reject_guard import MIN_REJECTS
from relay.delivery.retention import EXPIRING
from relay.model.outcome import Delivered, Reject, Retry
from tests.delivery.handler_rig import DAY, NOW, Bench, event, message, origin, turns


@pytest.mark.parametrize("ambiguous", [False, True])
async def test_a_wait_ends_before_the_queue_deletes_the_message(ambiguous: bool) -> None:
    bench = Bench({"m-1": None})
    if ambiguous:
        bench.script.ambiguous.add("m-1")
    task = asyncio.create_task(
        bench.handler.handle(message(event(), sent_at=NOW - 10 * DAY * EXPIRING + 100))
    )
    await turns()
    bench.handler.expire()
    await turns()
    assert not task.done()
    bench.now += 101 + GRACE
    bench.handler.expire()
    outcome = await task
    assert isinstance(outcome, Reject)
    assert outcome.code == "expiring"
    assert origin(bench.shelf.copies[0]).may_have_run is ambiguous


@pytest.mark.parametrize(
    ("receives", "doubtful"),
    [([1], False), ([1, 1, 2, 3], False), ([2], True), ([1, 3], True), ([3, 3], True)],
)
async def test_a_message_that_another_process_received_may_have_run(
    receives: list[int], doubtful: bool
) -> None:
    bench = Bench({"m-1": Retry("later")})
    for count in receives[:-1]:
        await bench.handler.handle(message(event(), sent_at=NOW, receive_count=count))
    bench.now += 9.5 * DAY
    await bench.handler.handle(message(event(), sent_at=NOW, receive_count=receives[-1]))
    assert origin(bench.shelf.copies[0]).may_have_run is doubtful


async def test_an_array_that_was_partly_delivered_before_it_expired_may_have_run() -> None:
    bench = Bench({"m-1.1": None})
    task = asyncio.create_task(bench.handler.handle(message([event(), event()], sent_at=NOW)))
    await turns()
    task.cancel()  # the hold is over; the message comes again during an outage that goes on
    await asyncio.gather(task, return_exceptions=True)
    bench.script.answers["m-1.0"] = bench.script.answers["m-1.1"] = Retry("later")
    bench.now += 9.5 * DAY
    again = message([event(), event()], sent_at=NOW, receive_count=2)
    await bench.handler.handle(again)
    assert origin(bench.shelf.copies[0]).pending == (1,)
    assert origin(bench.shelf.copies[0]).may_have_run


async def test_a_delivered_message_that_is_redelivered_and_expires_may_have_run() -> None:
    bench = Bench()
    await bench.handler.handle(message(event(), sent_at=NOW))
    bench.script.answers["m-1"] = Retry("later")
    bench.now += 9.5 * DAY
    await bench.handler.handle(message(event(), sent_at=NOW, receive_count=2))
    assert origin(bench.shelf.copies[0]).may_have_run


async def test_pending_events_did_not_run_because_others_of_their_array_did() -> None:
    bench = Bench({"m-1.1": Retry("later")})
    old = message([event(), event()], sent_at=NOW - 9.5 * DAY)
    await bench.handler.handle(old)
    assert origin(bench.shelf.copies[0]).pending == (1,)
    assert not origin(bench.shelf.copies[0]).may_have_run


async def test_an_array_that_expires_is_not_held_by_the_guard() -> None:
    bench = Bench({"m-1.1": None})
    flood = [
        asyncio.create_task(bench.handler.handle(message({"data": {}}, f"bad-{n}")))
        for n in range(60)
    ]
    await turns(400)
    assert bench.handler.status.problem is not None
    before = len(bench.shelf.copies)
    body = [{"data": {}}, event()]
    task = asyncio.create_task(bench.handler.handle(message(body, sent_at=NOW - 9.5 * DAY)))
    await turns()
    bench.now += 1 + GRACE
    bench.handler.expire()
    await turns()
    assert len(bench.shelf.copies) == before + 1
    for one in (task, *flood):
        one.cancel()
    await asyncio.gather(task, *flood, return_exceptions=True)


async def test_without_a_time_of_sending_the_first_receive_counts() -> None:
    bench = Bench({"m-1": Retry("later")})
    first = NOW - 9.5 * DAY
    outcome = await bench.handler.handle(message(event(), first_received_at=first))
    assert isinstance(outcome, Reject)
    assert outcome.code == "expiring"


async def test_an_old_message_is_tried_and_then_expires_instead_of_waiting() -> None:
    old = NOW - 9.5 * DAY
    bench = Bench({"bad": Retry("later")})
    assert isinstance(await bench.handler.handle(message(event(), sent_at=old)), Delivered)
    outcome = await bench.handler.handle(message(event(id="bad"), "m-2", sent_at=old))
    assert isinstance(outcome, Reject)
    assert outcome.code == "expiring"


async def test_a_message_held_by_the_guard_is_dead_lettered_before_the_queue_deletes_it() -> None:
    bench = Bench()
    tasks = [
        asyncio.create_task(
            bench.handler.handle(message(b"hello", f"m-{n}", sent_at=NOW - 8.9 * DAY))
        )
        for n in range(60)
    ]
    await turns(400)
    assert len(bench.shelf.copies) < MIN_REJECTS
    bench.now += DAY
    bench.handler.expire()
    await asyncio.gather(*tasks)
    assert len(bench.shelf.copies) == 60
