"""Redriving: everything comes back as it was, under its own ids, and nothing is lost on the way."""

import base64

from relay.dlq.filters import Filter
from relay.dlq.snapshot import Snapshot
from relay.model.message import Attribute
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.place import Place, event, letters, noted
from tests.dlq.redriver import Desk


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
    counts = await desk.redrive()
    assert counts.complete
    assert (counts.done, counts.deleted) == (42, 42)
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
    counts = await desk.redrive()
    assert sorted(place.bodies("second")) == [event(1), event(5)]
    assert place.bodies("main") == [event(2)]
    assert place.bodies("stranger") == []
    assert counts.skipped == {"no_route": 2}
    assert not counts.complete
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
    counts = await desk.redrive(meant=Filter(where="data.number >= `9`"))
    assert sorted(place.bodies("main")) == sorted(event(i) for i in (9, 10, 11))
    assert counts.complete
    assert counts.skipped == {"filtered": 9}
    assert place.visible("dead") == 9


async def test_a_limit_is_kept_and_what_was_received_beyond_it_is_visible_again(
    desk: Desk, place: Place
) -> None:
    await letters(place, 25)
    counts = await desk.redrive(limit=7)
    assert (counts.done, counts.complete) == (7, True)
    assert (len(place.bodies("main")), place.visible("dead")) == (7, 18)


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
    counts = await desk.redrive(edit=lambda value: {**value, "name": "shop/mended"})
    assert counts.complete
    assert place.bodies("main") == [event(7).replace("shop/order", "shop/mended")]
    assert place.origins("main")[0]["id"] == message_id
    [kept] = Snapshot(desk.directory / "backup.jsonl")
    assert kept.body == event(7).encode()


async def test_letters_that_died_too_often_are_left(desk: Desk, place: Place) -> None:
    await place.send("dead", event(1), attributes=noted("a", hops=5))
    await place.send("dead", event(2), attributes=noted("b", hops=4))
    counts = await desk.redrive()
    assert (counts.done, counts.skipped) == (1, {"max_hops": 1})
    desk.directory = desk.directory.with_name("raised")
    assert (await desk.redrive(max_hops=9)).done == 1


async def test_binary_bodies_do_not_exist_but_base64_stand_ins_pass(
    desk: Desk, place: Place
) -> None:
    body = base64.b64encode(b'{"name":"a\x00"}').decode()
    await place.send("dead", body, attributes=noted("a", encoding="base64"))
    assert (await desk.redrive()).complete
    assert place.bodies("main") == [body]
    assert place.origins("main")[0]["encoding"] == "base64"
