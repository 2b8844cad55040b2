"""Redriving: everything comes back as it was, under its own ids, and nothing is lost on the way."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.dlq.filters import Filter
from relay.dlq.snapshot import Snapshot
from relay.local.sqs import Fault
from relay.message import Attribute
from tests.dlq.conftest import QUICK, Place, Relay, event, noted
from tests.dlq.desk import Desk


@pytest.fixture
def desk(place: Place, tmp_path: Path) -> Desk:
    return Desk(place, tmp_path / "run")


async def letters(place: Place, count: int, name: str = "dead") -> list[str]:
    """Letters of the relay, each with an id of its own."""
    bodies = [event(i) for i in range(count)]
    for i, body in enumerate(bodies):
        await place.send(name, body, attributes=noted(f"id-{i}"))
    return bodies


async def test_a_dry_run_is_the_default_and_touches_nothing(relay: Relay, place: Place) -> None:
    await letters(place, 1)
    ended = await relay("dlq", "redrive", *QUICK)
    assert ended.code == 0
    assert "1 of 1 messages would go" in ended.out
    assert "--yes" in ended.err
    assert (place.visible("dead"), place.bodies("main")) == (1, [])


async def test_letters_come_back_in_tens_and_are_gone(desk: Desk, place: Place) -> None:
    bodies = await letters(place, 42)
    place.sqs.requests.clear()
    tally = await desk.redrive()
    assert tally.complete
    assert (tally.brought, tally.deleted) == (42, 42)
    assert sorted(place.bodies("main")) == sorted(bodies)
    assert place.stored("dead") == ()
    requests = place.sqs.requests
    assert (requests["SendMessageBatch"], requests["DeleteMessageBatch"]) == (5, 5)


async def test_everything_that_a_message_carries_comes_back(desk: Desk, place: Place) -> None:
    attributes = {
        "text": Attribute("String", "ü"),
        "number": Attribute("Number.int", "007"),
        "raw": Attribute("Binary", b"\x00\xff"),
        "png": Attribute("Binary.png", b"\x89PNG"),
        **noted("first-id", sent_at=5.0, pending=(1,), may_have_run=True),
    }
    body = '[{"name":"a"},\n {"name":"b", "data":{"x": 1.0}}]'
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793"
    await place.send("dead", body, attributes=attributes, trace_header=trace, group_id="tenant-7")
    assert (await desk.redrive()).complete
    [stored] = place.stored("main")
    queue = await place.queue("main")
    [received] = await queue.receive(wait=0)
    assert received.message.attributes == attributes
    assert (stored.body, stored.trace_header, stored.group_id) == (body, trace, "tenant-7")


async def test_what_sqs_moved_keeps_its_id_and_its_time(desk: Desk, place: Place) -> None:
    [message_id] = await place.send("main", event())
    sent_at = place.stored("main")[0].sent_at
    await place.bury()
    place.clock.advance(3_600)
    assert (await desk.redrive()).complete
    [origin] = place.origins("main")
    assert origin["id"] == message_id
    assert (origin["sent_at"], origin["hops"], origin["source"]) == (sent_at, 1, "main")
    assert origin["code"] == "moved_by_sqs"
    await place.bury()
    desk.directory = desk.directory.with_name("second")
    assert (await desk.redrive()).complete
    [again] = place.origins("main")
    assert (again["id"], again["hops"], again["sent_at"]) == (message_id, 2, sent_at)


async def test_a_periodic_task_that_sqs_moved_keeps_the_id_of_its_firing(
    desk: Desk, place: Place
) -> None:
    attributes = {
        "beanstalk.sqsd.path": Attribute("String", "/"),
        "beanstalk.sqsd.task_name": Attribute("String", "nightly"),
        "beanstalk.sqsd.scheduled_time": Attribute("String", "2026-05-04 03:00:00 UTC"),
    }
    await place.send("main", "elasticbeanstalk scheduled job", attributes=attributes)
    await place.bury()
    assert (await desk.redrive()).complete
    [origin] = place.origins("main")
    assert origin["id"] == "main:nightly@2026-05-04T03:00:00Z"
    assert origin["task"] == ["nightly", "2026-05-04T03:00:00Z"]


async def test_each_letter_goes_back_to_the_queue_that_it_is_from(desk: Desk, place: Place) -> None:
    place.make("second", "dead")
    place.make("stranger")
    await place.send("dead", event(1), attributes=noted("a", source="second"))
    await place.send("dead", event(2), attributes=noted("b", source="main"))
    await place.send("dead", event(3), attributes=noted("c", source="stranger"))
    await place.send("dead", event(4), attributes=noted("d", source="gone"))
    await place.send("second", event(5))
    await place.bury("second")
    tally = await desk.redrive()
    assert sorted(place.bodies("second")) == [event(1), event(5)]
    assert place.bodies("main") == [event(2)]
    assert place.bodies("stranger") == []
    assert tally.stays == {"no_route": 2}
    assert not tally.complete
    assert (place.visible("dead"), len(place.stored("dead"))) == (2, 2)


async def test_all_can_go_to_a_queue_that_is_named(desk: Desk, place: Place) -> None:
    place.make("other")
    await letters(place, 3)
    assert (await desk.redrive(to="other")).complete
    assert len(place.bodies("other")) == 3


async def test_only_what_is_meant_goes_and_the_rest_is_visible_again(
    desk: Desk, place: Place
) -> None:
    await letters(place, 12)
    tally = await desk.redrive(meant=Filter(where="data.number >= `9`"))
    assert sorted(place.bodies("main")) == sorted(event(i) for i in (9, 10, 11))
    assert tally.complete
    assert tally.stays == {"filtered": 9}
    assert place.visible("dead") == 9


async def test_a_limit_is_kept_and_what_was_received_beyond_it_is_visible_again(
    desk: Desk, place: Place
) -> None:
    await letters(place, 25)
    tally = await desk.redrive(limit=7)
    assert (tally.brought, tally.complete) == (7, True)
    assert (len(place.bodies("main")), place.visible("dead")) == (7, 18)


async def test_a_megabyte_of_messages_goes_in_batches_by_bytes(desk: Desk, place: Place) -> None:
    bodies = [event(i, data={"x": "x" * 400_000}) for i in range(5)]
    await place.send("dead", *bodies, attributes=noted("a"))
    assert (await desk.redrive()).complete
    assert sorted(place.bodies("main")) == sorted(bodies)


async def test_a_full_megabyte_with_an_id_of_its_own_goes_as_it_is(
    desk: Desk, place: Place
) -> None:
    start = event(id="mine", data={"x": ""})
    body = event(id="mine", data={"x": "é" + "x" * (1_048_576 - 2 - len(start.encode()))})
    assert len(body.encode()) == 1_048_576
    await place.send("main", body)
    await place.bury()
    assert (await desk.redrive()).complete
    [stored] = place.stored("main")
    assert stored.size <= 1_048_576


async def test_ten_attributes_and_an_own_id_need_no_room_for_ours(desk: Desk, place: Place) -> None:
    ten = {f"a{i}": Attribute("String", str(i)) for i in range(10)}
    await place.send("main", event(id="mine"), attributes=ten)
    await place.bury()
    assert (await desk.redrive()).complete
    assert set(place.stored("main")[0].attributes) == set(ten)


async def test_ten_attributes_and_no_other_id_stay_for_a_person(desk: Desk, place: Place) -> None:
    ten = {f"a{i}": Attribute("String", str(i)) for i in range(10)}
    await place.send("main", event(), attributes=ten)
    await place.bury()
    tally = await desk.redrive()
    assert tally.stays == {"no_room": 1}
    assert "--straight" in tally.reasons["no_room"]
    assert (place.visible("dead"), place.bodies("main")) == (1, [])


async def test_nine_attributes_and_ours_are_ten(desk: Desk, place: Place) -> None:
    nine = {f"a{i}": Attribute("Binary", bytes([i])) for i in range(9)}
    await place.send("dead", event(), attributes={**nine, **noted("a")})
    assert (await desk.redrive()).complete
    assert len(place.stored("main")[0].attributes) == 10


async def test_the_entries_of_a_send_that_fail_stay_and_only_they(desk: Desk, place: Place) -> None:
    bodies = await letters(place, 10)
    refused = {3: "InvalidMessageContents", 7: "InvalidMessageContents"}
    place.sqs.faults.add(Fault(action="SendMessageBatch", entries=refused, sender_fault=True))
    tally = await desk.redrive()
    assert (tally.brought, tally.deleted, tally.stays) == (8, 8, {"not_sent": 2})
    assert sorted(place.bodies("main") + place.bodies("dead")) == sorted(bodies)
    assert place.visible("dead") == 2


async def test_an_entry_that_fails_for_now_is_sent_again_alone(desk: Desk, place: Place) -> None:
    await letters(place, 10)
    place.sqs.faults.add(
        Fault(action="SendMessageBatch", entries={4: "InternalError"}),
        Fault(action="SendMessageBatch", error="RequestThrottled"),
    )
    assert (await desk.redrive()).complete
    assert len(place.bodies("main")) == 10


async def test_the_entries_of_a_delete_that_fail_are_owed_and_paid_by_the_next_run(
    desk: Desk, place: Place
) -> None:
    bodies = await letters(place, 10)
    place.sqs.faults.add(
        Fault(
            action="DeleteMessageBatch", entries=dict.fromkeys(range(10), "InternalError"), times=9
        )
    )
    tally = await desk.redrive()
    assert (tally.brought, tally.owed, tally.complete) == (10, 10, False)
    place.sqs.faults.clear()
    again = await desk.redrive()
    assert (again.brought, again.deleted, again.complete) == (0, 10, True)
    assert sorted(place.bodies("main")) == sorted(bodies)


async def test_some_deletes_that_fail_once_are_tried_again(desk: Desk, place: Place) -> None:
    await letters(place, 10)
    place.sqs.faults.add(
        Fault(action="DeleteMessageBatch", entries={2: "InternalError"}),
        Fault(action="DeleteMessageBatch", error="ServiceUnavailable", status=503),
    )
    assert (await desk.redrive()).complete
    assert place.stored("dead") == ()


async def test_a_release_that_fails_in_part_harms_nothing(desk: Desk, place: Place) -> None:
    await letters(place, 5)
    place.sqs.faults.add(
        Fault(action="ChangeMessageVisibilityBatch", entries={1: "InternalError"}),
    )
    tally = await desk.redrive(meant=Filter(ids=("id-0",)))
    assert tally.brought == 1
    assert len(place.stored("dead")) == 4
    place.clock.advance(121)
    assert place.visible("dead") == 4


async def test_a_receive_that_fails_is_repeated(desk: Desk, place: Place) -> None:
    await letters(place, 3)
    place.sqs.faults.add(
        Fault(action="ReceiveMessage", error="RequestThrottled", times=2),
        Fault(action="ReceiveMessage", refuse=True),
    )
    assert (await desk.redrive()).complete


async def test_a_lost_answer_to_a_send_costs_a_repeat_under_the_same_ids(
    desk: Desk, place: Place
) -> None:
    await letters(place, 5)
    place.sqs.faults.add(Fault(action="SendMessageBatch", drop=True))
    assert (await desk.redrive()).complete
    assert len(place.bodies("main")) == 10
    assert {origin["id"] for origin in place.origins("main")} == {f"id-{i}" for i in range(5)}
    assert place.stored("dead") == ()


async def test_a_lease_that_lapses_leaves_the_letter_to_be_deleted_when_it_comes_again(
    desk: Desk, place: Place
) -> None:
    bodies = await letters(place, 10)
    place.sqs.faults.add(Fault(action="ReceiveMessage", stale=True))
    tally = await desk.redrive()
    assert sorted(place.bodies("main")) == sorted(bodies)
    assert place.stored("dead") == ()
    assert tally.brought == 10


async def test_copies_of_one_letter_are_one_redrive(desk: Desk, place: Place) -> None:
    for _ in range(3):
        await place.send("dead", event(), attributes=noted("same"))
    await place.send("dead", event(data={"other": "text"}), attributes=noted("same"))
    place.clock.advance(60)
    tally = await desk.redrive()
    assert (tally.brought, tally.copies, tally.complete) == (2, 2, True)
    assert len(place.bodies("main")) == 2
    assert place.stored("dead") == ()


async def test_a_message_delivered_twice_in_one_batch_is_one_redrive(
    desk: Desk, place: Place
) -> None:
    await letters(place, 1)
    [stored] = place.stored("dead")
    place.sqs.queues["dead"].duplicate(stored)
    tally = await desk.redrive()
    assert place.bodies("main") == [event(0)]
    assert tally.brought == 1


async def test_only_the_pending_events_of_an_array_stay_pending(desk: Desk, place: Place) -> None:
    body = '[{"name":"a"},{"name":"b"},{"name":"c"}]'
    await place.send("dead", body, attributes=noted("array", pending=(0, 2)))
    assert (await desk.redrive()).complete
    [origin] = place.origins("main")
    assert (origin["id"], origin["pending"]) == ("array", [0, 2])
    assert place.bodies("main") == [body]


async def test_a_rerun_is_a_new_generation_of_every_id(desk: Desk, place: Place) -> None:
    await place.send("dead", event(), attributes=noted("a", generation=1))
    await place.send("dead", event(id="own"), attributes=noted("b"))
    assert (await desk.redrive(rerun=True)).complete
    assert sorted((o["id"], o["generation"]) for o in place.origins("main")) == [("a", 2), ("b", 1)]


async def test_an_edit_keeps_the_id_and_the_backup_keeps_the_original(
    desk: Desk, place: Place
) -> None:
    [message_id] = await place.send("main", event(7))
    await place.bury()
    tally = await desk.redrive(edit=lambda value: {**value, "name": "shop/mended"})
    assert tally.complete
    assert place.bodies("main") == [event(7).replace("shop/order", "shop/mended")]
    assert place.origins("main")[0]["id"] == message_id
    [kept] = Snapshot(desk.directory / "backup.jsonl")
    assert kept.body == event(7).encode()


async def test_letters_that_died_too_often_are_left(desk: Desk, place: Place) -> None:
    await place.send("dead", event(1), attributes=noted("a", hops=5))
    await place.send("dead", event(2), attributes=noted("b", hops=4))
    tally = await desk.redrive()
    assert (tally.brought, tally.stays) == (1, {"max_hops": 1})
    desk.directory = desk.directory.with_name("raised")
    assert (await desk.redrive(max_hops=9)).brought == 1


async def test_what_comes_back_during_the_run_is_left_and_the_run_ends(
    desk: Desk, place: Place
) -> None:
    """Whatever is sent dies at once: a run that took it up again would never end."""
    await letters(place, 40)
    place.clock.advance(60)
    async with dying_at_once(place):
        tally = await desk.redrive()
    assert tally.brought <= 40
    assert set(tally.stays) <= {"returned", "arrived", "limit"}
    assert not tally.complete
    assert len(place.bodies("main")) + len(place.bodies("dead")) == 40


async def test_a_queue_that_grows_while_it_works_stops_the_run(desk: Desk, place: Place) -> None:
    await letters(place, 200)
    place.clock.advance(60)
    async with dying_at_once(place):
        tally = await desk.redrive()
    assert tally.stopped is not None
    assert "has grown by" in tally.stopped
    assert tally.brought <= 200
    assert place.sqs.queues["dead"].counts()[1] == 0


@asynccontextmanager
async def dying_at_once(place: Place) -> AsyncIterator[None]:
    """Whatever arrives in the main queue is moved back by SQS."""

    async def die() -> None:
        while True:
            place.clock.advance(2)
            await place.bury()
            await asyncio.sleep(0.005)

    dying = asyncio.create_task(die())
    try:
        yield
    finally:
        dying.cancel()
        await asyncio.wait({dying})


async def test_two_operators_at_once_do_not_hurt_each_other(place: Place, tmp_path: Path) -> None:
    bodies = await letters(place, 60)
    one, other = Desk(place, tmp_path / "one"), Desk(place, tmp_path / "other")
    tallies = await asyncio.gather(one.redrive(), other.redrive())
    assert sum(tally.brought for tally in tallies) == 60
    assert sorted(place.bodies("main")) == sorted(bodies)
    assert place.stored("dead") == ()


async def test_a_stop_finishes_what_is_under_way_and_releases_the_rest(
    desk: Desk, place: Place
) -> None:
    bodies = await letters(place, 100)
    tally = await desk.redrive(progress=lambda _: desk.stop.set())
    assert tally.interrupted
    assert 0 < tally.brought < 100
    assert tally.brought == tally.deleted == len(place.bodies("main"))
    assert place.visible("dead") == 100 - tally.brought
    desk.stop.clear()
    assert (await desk.redrive()).complete
    assert sorted(place.bodies("main")) == sorted(bodies)


async def test_a_pass_that_reaches_sqss_limit_in_flight_says_what_is_left(
    desk: Desk, place: Place
) -> None:
    await letters(place, 30)
    place.sqs.faults.add(Fault(action="ReceiveMessage", skip=1, error="OverLimit", times=None))
    tally = await desk.redrive(meant=Filter(ids=("nobody",)))
    assert (tally.complete, tally.out_of_reach) == (False, 20)
    assert "lends no more" in tally.why


async def test_a_missing_permission_ends_the_run_with_everything_in_place(
    desk: Desk, place: Place
) -> None:
    await letters(place, 5)
    place.sqs.faults.add(Fault(action="SendMessageBatch", error="AccessDenied", times=None))
    with pytest.raises(Exception, match="sqs:SendMessage"):
        await desk.redrive()
    place.sqs.faults.clear()
    assert place.visible("dead") == 5
    assert (await desk.redrive()).complete


async def test_binary_bodies_do_not_exist_but_base64_stand_ins_pass(
    desk: Desk, place: Place
) -> None:
    body = base64.b64encode(b'{"name":"a\x00"}').decode()
    await place.send("dead", body, attributes=noted("a", encoding="base64"))
    assert (await desk.redrive()).complete
    assert place.bodies("main") == [body]
    assert place.origins("main")[0]["encoding"] == "base64"
