"""A redrive whose requests to SQS fail, in part or whole: nothing is lost, what is owed is paid."""

import pytest

from relay.dlq.filters import Filter
from relay.local.sqs import Fault
from tests.dlq.place import Place, letters
from tests.dlq.redriver import Desk


async def test_the_entries_of_a_send_that_fail_stay_and_only_they(desk: Desk, place: Place) -> None:
    bodies = await letters(place, 10)
    refused = {3: "InvalidMessageContents", 7: "InvalidMessageContents"}
    place.sqs.faults.add(Fault(action="SendMessageBatch", entries=refused, sender_fault=True))
    counts = await desk.redrive()
    assert (counts.done, counts.deleted, counts.skipped) == (8, 8, {"not_sent": 2})
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
    counts = await desk.redrive()
    assert (counts.done, counts.not_deleted, counts.complete) == (10, 10, False)
    place.sqs.faults.clear()
    again = await desk.redrive()
    assert (again.done, again.deleted, again.complete) == (0, 10, True)
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
    counts = await desk.redrive(meant=Filter(ids=("id-0",)))
    assert counts.done == 1
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
    counts = await desk.redrive()
    assert sorted(place.bodies("main")) == sorted(bodies)
    assert place.stored("dead") == ()
    assert counts.done == 10


async def test_a_pass_that_reaches_sqss_limit_in_flight_says_what_is_left(
    desk: Desk, place: Place
) -> None:
    await letters(place, 30)
    place.sqs.faults.add(Fault(action="ReceiveMessage", skip=1, error="OverLimit", times=None))
    counts = await desk.redrive(meant=Filter(ids=("nobody",)))
    assert (counts.complete, counts.not_received) == (False, 20)
    assert "lends no more" in counts.why


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
