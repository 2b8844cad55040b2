"""Message move tasks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from relay.local.sqs import Queue

from .conftest import Refused, Sqs


async def pair(sqs: Sqs, suffix: str = "", **attributes: str) -> tuple[Queue, Queue]:
    dead = await sqs.queue(f"dead{suffix}", **attributes)
    policy = f'{{"deadLetterTargetArn":"{dead.arn}","maxReceiveCount":1}}'
    return await sqs.queue(f"q{suffix}", RedrivePolicy=policy, **attributes), dead


async def dead_letter(sqs: Sqs, queue: str = "q") -> None:
    await sqs.receive(queue, VisibilityTimeout=0)
    await sqs.receive(queue)


async def task_of(sqs: Sqs, dead: Queue) -> dict[str, Any]:
    answer = await sqs.call("ListMessageMoveTasks", SourceArn=dead.arn)
    return dict(answer["Results"][0])


async def finished(sqs: Sqs, dead: Queue) -> dict[str, Any]:
    while (task := await task_of(sqs, dead))["Status"] == "RUNNING":
        sqs.clock.advance(1)
        await asyncio.sleep(0)
    return task


async def test_messages_move_back_to_their_source_as_new_ones(sqs: Sqs) -> None:
    queue, dead = await pair(sqs)
    attribute = {"a": {"DataType": "Binary", "BinaryValue": "AP8="}}
    [original] = await sqs.send("x", MessageAttributes=attribute)
    await dead_letter(sqs)
    sqs.clock.advance(60)
    await sqs.call("StartMessageMoveTask", SourceArn=dead.arn)
    task = await finished(sqs, dead)
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 1)
    assert "DestinationArn" not in task
    assert dead.messages() == ()
    [stored] = queue.messages()
    assert stored.message_id != original
    assert stored.sent_at > queue.created_at + 59
    [message] = await sqs.receive()
    assert (message["Body"], message["MessageAttributes"]) == ("x", attribute)
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert "DeadLetterQueueSourceArn" not in message["Attributes"]


async def test_messages_move_at_the_requested_rate(sqs: Sqs) -> None:
    queue, dead = await pair(sqs)
    await sqs.send(*map(str, range(5)), queue="dead")
    await sqs.call(
        "StartMessageMoveTask",
        SourceArn=dead.arn,
        DestinationArn=queue.arn,
        MaxNumberOfMessagesPerSecond=2,
    )
    await sqs.clock.until_asleep()
    running = await task_of(sqs, dead)
    assert (running["Status"], running["ApproximateNumberOfMessagesToMove"]) == ("RUNNING", 5)
    sqs.clock.advance(1)
    await sqs.clock.until_asleep()
    assert len(queue.messages()) == 2
    task = await finished(sqs, dead)
    assert (task["Status"], len(queue.messages())) == ("COMPLETED", 5)
    assert "TaskHandle" not in task


async def test_a_message_without_a_source_needs_a_destination(sqs: Sqs) -> None:
    _, dead = await pair(sqs)
    await sqs.send("sent here", queue="dead")
    await sqs.call("StartMessageMoveTask", SourceArn=dead.arn)
    task = await finished(sqs, dead)
    assert (task["Status"], task["FailureReason"]) == ("FAILED", "CouldNotDetermineMessageSource")
    assert [stored.body for stored in dead.messages()] == ["sent here"]


async def test_a_task_fails_when_its_destination_is_deleted(sqs: Sqs) -> None:
    _, dead = await pair(sqs)
    await sqs.send("x", queue="dead")
    to = await sqs.queue("to")
    await sqs.call("StartMessageMoveTask", SourceArn=dead.arn, DestinationArn=to.arn)
    await sqs.call("DeleteQueue", QueueUrl="to")
    task = await finished(sqs, dead)
    assert task["FailureReason"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert len(dead.messages()) == 1


async def test_a_cancelled_task_moves_nothing_more(sqs: Sqs) -> None:
    queue, dead = await pair(sqs)
    await sqs.send(*map(str, range(5)), queue="dead")
    started = await sqs.call(
        "StartMessageMoveTask",
        SourceArn=dead.arn,
        DestinationArn=queue.arn,
        MaxNumberOfMessagesPerSecond=1,
    )
    await sqs.clock.until_asleep()
    sqs.clock.advance(2)
    await sqs.clock.until_asleep()
    cancelled = await sqs.call("CancelMessageMoveTask", **started)
    assert cancelled == {"ApproximateNumberOfMessagesMoved": 2}
    sqs.clock.advance(60)
    assert (await task_of(sqs, dead))["Status"] == "CANCELLED"
    assert (len(queue.messages()), len(dead.messages())) == (2, 3)
    with pytest.raises(Refused, match="Task does not exist"):
        await sqs.call("CancelMessageMoveTask", **started)


async def test_a_queue_has_one_running_task_at_most(sqs: Sqs) -> None:
    _, dead = await pair(sqs)
    await sqs.send("x", queue="dead")
    await sqs.call("StartMessageMoveTask", SourceArn=dead.arn)
    with pytest.raises(Refused, match="already a task running"):
        await sqs.call("StartMessageMoveTask", SourceArn=dead.arn)


async def test_only_a_dead_letter_queue_can_be_a_source(sqs: Sqs) -> None:
    queue, dead = await pair(sqs)
    with pytest.raises(Refused, match="must be configured as a Dead Letter Queue"):
        await sqs.call("StartMessageMoveTask", SourceArn=queue.arn)
    with pytest.raises(Refused) as refused:
        await sqs.call("StartMessageMoveTask", SourceArn=dead.arn, DestinationArn=f"{dead.arn}-no")
    assert (refused.value.code, refused.value.status) == ("ResourceNotFoundException", 404)


async def test_a_fifo_dead_letter_gets_a_new_sent_time_and_moves_within_its_group(sqs: Sqs) -> None:
    queue, dead = await pair(sqs, ".fifo", FifoQueue="true")
    [original] = await sqs.send("x", queue="q.fifo", MessageGroupId="g", MessageDeduplicationId="d")
    sqs.clock.advance(60)
    await dead_letter(sqs, "q.fifo")
    [moved] = dead.messages()
    assert (moved.message_id, moved.dedup_id, moved.group_id) == (original, original, "g")
    assert moved.sent_at == sqs.clock.time()
    await sqs.call("StartMessageMoveTask", SourceArn=dead.arn)
    await finished(sqs, dead)
    [returned] = queue.messages()
    assert (returned.group_id, returned.body) == ("g", "x")
