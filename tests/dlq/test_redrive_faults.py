"""A redrive whose requests to SQS fail, partly or wholly: nothing is lost, and it is resumable."""

import pytest

from relay.dlq.filters import Filter
from relay.local.sqs import Fault
from tests.dlq.queues import LocalQueues, send_dead_letters
from tests.dlq.redriver import Redriver


async def test_only_the_failed_entries_of_a_send_stay_in_the_queue(
    redriver: Redriver, queues: LocalQueues
) -> None:
    bodies = await send_dead_letters(queues, 10)
    refused = {3: "InvalidMessageContents", 7: "InvalidMessageContents"}
    queues.sqs.faults.add(Fault(action="SendMessageBatch", entries=refused, sender_fault=True))
    counts = await redriver.redrive()
    assert (counts.done, counts.deleted, counts.skipped) == (8, 8, {"not_sent": 2})
    assert sorted(queues.bodies("main") + queues.bodies("dead")) == sorted(bodies)
    assert queues.visible("dead") == 2


async def test_an_entry_that_fails_temporarily_is_sent_again_alone(
    redriver: Redriver, queues: LocalQueues
) -> None:
    await send_dead_letters(queues, 10)
    queues.sqs.faults.add(
        Fault(action="SendMessageBatch", entries={4: "InternalError"}),
        Fault(action="SendMessageBatch", error="RequestThrottled"),
    )
    assert (await redriver.redrive()).complete
    assert len(queues.bodies("main")) == 10


async def test_failed_entries_of_a_delete_are_deleted_by_the_next_run(
    redriver: Redriver, queues: LocalQueues
) -> None:
    bodies = await send_dead_letters(queues, 10)
    queues.sqs.faults.add(
        Fault(
            action="DeleteMessageBatch", entries=dict.fromkeys(range(10), "InternalError"), times=9
        )
    )
    counts = await redriver.redrive()
    assert (counts.done, counts.not_deleted, counts.complete) == (10, 10, False)
    queues.sqs.faults.clear()
    again = await redriver.redrive()
    assert (again.done, again.deleted, again.complete) == (0, 10, True)
    assert sorted(queues.bodies("main")) == sorted(bodies)


async def test_some_deletes_that_fail_once_are_tried_again(
    redriver: Redriver, queues: LocalQueues
) -> None:
    await send_dead_letters(queues, 10)
    queues.sqs.faults.add(
        Fault(action="DeleteMessageBatch", entries={2: "InternalError"}),
        Fault(action="DeleteMessageBatch", error="ServiceUnavailable", status=503),
    )
    assert (await redriver.redrive()).complete
    assert queues.stored("dead") == ()


async def test_a_release_that_fails_in_part_harms_nothing(
    redriver: Redriver, queues: LocalQueues
) -> None:
    await send_dead_letters(queues, 5)
    queues.sqs.faults.add(
        Fault(action="ChangeMessageVisibilityBatch", entries={1: "InternalError"}),
    )
    counts = await redriver.redrive(filters=Filter(ids=("id-0",)))
    assert counts.done == 1
    assert len(queues.stored("dead")) == 4
    queues.clock.advance(121)
    assert queues.visible("dead") == 4


async def test_a_failed_receive_is_repeated(redriver: Redriver, queues: LocalQueues) -> None:
    await send_dead_letters(queues, 3)
    queues.sqs.faults.add(
        Fault(action="ReceiveMessage", error="RequestThrottled", times=2),
        Fault(action="ReceiveMessage", refuse=True),
    )
    assert (await redriver.redrive()).complete


async def test_a_lost_response_to_a_send_causes_a_repeat_under_the_same_ids(
    redriver: Redriver, queues: LocalQueues
) -> None:
    await send_dead_letters(queues, 5)
    queues.sqs.faults.add(Fault(action="SendMessageBatch", drop=True))
    assert (await redriver.redrive()).complete
    assert len(queues.bodies("main")) == 10
    assert {origin["id"] for origin in queues.origins("main")} == {f"id-{i}" for i in range(5)}
    assert queues.stored("dead") == ()


async def test_after_a_lapsed_lease_the_message_is_deleted_when_received_again(
    redriver: Redriver, queues: LocalQueues
) -> None:
    bodies = await send_dead_letters(queues, 10)
    queues.sqs.faults.add(Fault(action="ReceiveMessage", stale=True))
    counts = await redriver.redrive()
    assert sorted(queues.bodies("main")) == sorted(bodies)
    assert queues.stored("dead") == ()
    assert counts.done == 10


async def test_a_pass_that_reaches_the_in_flight_limit_reports_what_is_left(
    redriver: Redriver, queues: LocalQueues
) -> None:
    await send_dead_letters(queues, 30)
    queues.sqs.faults.add(Fault(action="ReceiveMessage", skip=1, error="OverLimit", times=None))
    counts = await redriver.redrive(filters=Filter(ids=("nobody",)))
    assert (counts.complete, counts.not_received) == (False, 20)
    assert "limit of messages in flight" in counts.why


async def test_a_missing_permission_ends_the_run_with_everything_in_place(
    redriver: Redriver, queues: LocalQueues
) -> None:
    await send_dead_letters(queues, 5)
    queues.sqs.faults.add(Fault(action="SendMessageBatch", error="AccessDenied", times=None))
    with pytest.raises(Exception, match="sqs:SendMessage"):
        await redriver.redrive()
    queues.sqs.faults.clear()
    assert queues.visible("dead") == 5
    assert (await redriver.redrive()).complete
