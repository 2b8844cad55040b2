"""Redrives: messages are sent unchanged under their own ids, and nothing is lost."""

import base64

from relay.dlq.filters import Filter
from relay.dlq.snapshot import Snapshot
from relay.model.message import Attribute
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.queues import LocalQueues, event, origin_attribute, send_dead_letters
from tests.dlq.redriver import Redriver


async def test_a_dry_run_is_the_default_and_changes_nothing(
    relay: Relay, queues: LocalQueues
) -> None:
    await send_dead_letters(queues, 1)
    ended = await relay("dlq", "redrive", *QUICK)
    assert ended.code == 0
    assert "1 of 1 messages would be redriven" in ended.out
    assert "--yes" in ended.err
    assert (queues.visible("dead"), queues.bodies("main")) == (1, [])


async def test_dead_letters_are_sent_and_deleted_in_tens(
    redriver: Redriver, queues: LocalQueues
) -> None:
    bodies = await send_dead_letters(queues, 42)
    queues.sqs.requests.clear()
    counts = await redriver.redrive()
    assert counts.complete
    assert (counts.done, counts.deleted) == (42, 42)
    assert sorted(queues.bodies("main")) == sorted(bodies)
    assert queues.stored("dead") == ()
    requests = queues.sqs.requests
    assert (requests["SendMessageBatch"], requests["DeleteMessageBatch"]) == (5, 5)


async def test_everything_that_a_message_carries_is_redriven(
    redriver: Redriver, queues: LocalQueues
) -> None:
    attributes = {
        "text": Attribute("String", "ü"),
        "number": Attribute("Number.int", "007"),
        "raw": Attribute("Binary", b"\x00\xff"),
        "png": Attribute("Binary.png", b"\x89PNG"),
        **origin_attribute("first-id", sent_at=5.0, pending=(1,), may_have_run=True),
    }
    body = '[{"name":"a"},\n {"name":"b", "data":{"x": 1.0}}]'
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793"
    await queues.send("dead", body, attributes=attributes, trace_header=trace, group_id="tenant-7")
    assert (await redriver.redrive()).complete
    [stored] = queues.stored("main")
    queue = await queues.queue("main")
    [received] = await queue.receive(wait=0)
    assert received.message.attributes == attributes
    assert (stored.body, stored.trace_header, stored.group_id) == (body, trace, "tenant-7")


async def test_what_sqs_moved_keeps_its_id_and_its_time(
    redriver: Redriver, queues: LocalQueues
) -> None:
    [message_id] = await queues.send("main", event())
    sent_at = queues.stored("main")[0].sent_at
    await queues.move_by_sqs()
    queues.clock.advance(3_600)
    assert (await redriver.redrive()).complete
    [origin] = queues.origins("main")
    assert origin["id"] == message_id
    assert (origin["sent_at"], origin["hops"], origin["source"]) == (sent_at, 1, "main")
    assert origin["code"] == "moved_by_sqs"
    await queues.move_by_sqs()
    redriver.directory = redriver.directory.with_name("second")
    assert (await redriver.redrive()).complete
    [again] = queues.origins("main")
    assert (again["id"], again["hops"], again["sent_at"]) == (message_id, 2, sent_at)


async def test_a_periodic_task_that_sqs_moved_keeps_the_id_of_its_run(
    redriver: Redriver, queues: LocalQueues
) -> None:
    attributes = {
        "beanstalk.sqsd.path": Attribute("String", "/"),
        "beanstalk.sqsd.task_name": Attribute("String", "nightly"),
        "beanstalk.sqsd.scheduled_time": Attribute("String", "2026-05-04 03:00:00 UTC"),
    }
    await queues.send("main", "elasticbeanstalk scheduled job", attributes=attributes)
    await queues.move_by_sqs()
    assert (await redriver.redrive()).complete
    [origin] = queues.origins("main")
    assert origin["id"] == "main:nightly@2026-05-04T03:00:00Z"
    assert origin["task"] == ["nightly", "2026-05-04T03:00:00Z"]


async def test_each_dead_letter_goes_back_to_its_source_queue(
    redriver: Redriver, queues: LocalQueues
) -> None:
    queues.make("second", "dead")
    queues.make("stranger")
    await queues.send("dead", event(1), attributes=origin_attribute("a", source="second"))
    await queues.send("dead", event(2), attributes=origin_attribute("b", source="main"))
    await queues.send("dead", event(3), attributes=origin_attribute("c", source="stranger"))
    await queues.send("dead", event(4), attributes=origin_attribute("d", source="gone"))
    await queues.send("second", event(5))
    await queues.move_by_sqs("second")
    counts = await redriver.redrive()
    assert sorted(queues.bodies("second")) == [event(1), event(5)]
    assert queues.bodies("main") == [event(2)]
    assert queues.bodies("stranger") == []
    assert counts.skipped == {"no_route": 2}
    assert not counts.complete
    assert (queues.visible("dead"), len(queues.stored("dead"))) == (2, 2)


async def test_all_can_go_to_a_named_queue(redriver: Redriver, queues: LocalQueues) -> None:
    queues.make("other")
    await send_dead_letters(queues, 3)
    assert (await redriver.redrive(to="other")).complete
    assert len(queues.bodies("other")) == 3


async def test_only_what_is_selected_is_sent_and_the_rest_is_visible_again(
    redriver: Redriver, queues: LocalQueues
) -> None:
    await send_dead_letters(queues, 12)
    counts = await redriver.redrive(filters=Filter(where="data.number >= `9`"))
    assert sorted(queues.bodies("main")) == sorted(event(i) for i in (9, 10, 11))
    assert counts.complete
    assert counts.skipped == {"filtered": 9}
    assert queues.visible("dead") == 9


async def test_a_limit_is_kept_and_what_was_received_beyond_it_is_visible_again(
    redriver: Redriver, queues: LocalQueues
) -> None:
    await send_dead_letters(queues, 25)
    counts = await redriver.redrive(limit=7)
    assert (counts.done, counts.complete) == (7, True)
    assert (len(queues.bodies("main")), queues.visible("dead")) == (7, 18)


async def test_only_the_pending_events_of_an_array_stay_pending(
    redriver: Redriver, queues: LocalQueues
) -> None:
    body = '[{"name":"a"},{"name":"b"},{"name":"c"}]'
    await queues.send("dead", body, attributes=origin_attribute("array", pending=(0, 2)))
    assert (await redriver.redrive()).complete
    [origin] = queues.origins("main")
    assert (origin["id"], origin["pending"]) == ("array", [0, 2])
    assert queues.bodies("main") == [body]


async def test_a_rerun_is_a_new_generation_of_every_id(
    redriver: Redriver, queues: LocalQueues
) -> None:
    await queues.send("dead", event(), attributes=origin_attribute("a", generation=1))
    await queues.send("dead", event(id="own"), attributes=origin_attribute("b"))
    assert (await redriver.redrive(rerun=True)).complete
    assert sorted((o["id"], o["generation"]) for o in queues.origins("main")) == [
        ("a", 2),
        ("b", 1),
    ]


async def test_an_edit_keeps_the_id_and_the_backup_keeps_the_original(
    redriver: Redriver, queues: LocalQueues
) -> None:
    [message_id] = await queues.send("main", event(7))
    await queues.move_by_sqs()
    counts = await redriver.redrive(edit=lambda value: {**value, "name": "shop/fixed"})
    assert counts.complete
    assert queues.bodies("main") == [event(7).replace("shop/order", "shop/fixed")]
    assert queues.origins("main")[0]["id"] == message_id
    [kept] = Snapshot(redriver.directory / "backup.jsonl")
    assert kept.body == event(7).encode()


async def test_dead_letters_with_too_many_hops_are_skipped(
    redriver: Redriver, queues: LocalQueues
) -> None:
    await queues.send("dead", event(1), attributes=origin_attribute("a", hops=5))
    await queues.send("dead", event(2), attributes=origin_attribute("b", hops=4))
    counts = await redriver.redrive()
    assert (counts.done, counts.skipped) == (1, {"max_hops": 1})
    redriver.directory = redriver.directory.with_name("raised")
    assert (await redriver.redrive(max_hops=9)).done == 1


async def test_base64_encoded_bodies_are_redriven_unchanged(
    redriver: Redriver, queues: LocalQueues
) -> None:
    body = base64.b64encode(b'{"name":"a\x00"}').decode()
    await queues.send("dead", body, attributes=origin_attribute("a", encoding="base64"))
    assert (await redriver.redrive()).complete
    assert queues.bodies("main") == [body]
    assert queues.origins("main")[0]["encoding"] == "base64"
