"""Timeouts, delays, retention and long polls, on a manual clock."""

from __future__ import annotations

import asyncio

import pytest

from .conftest import Refused, Sqs

HOUR = 3_600.0
DAY = 24 * HOUR


async def test_a_long_poll_waits_until_a_message_arrives(sqs: Sqs) -> None:
    await sqs.queue()
    poll = sqs.polling()
    await sqs.clock.until_asleep()
    await sqs.send("x")
    assert [message["Body"] for message in await poll] == ["x"]


async def test_a_long_poll_ends_empty_after_its_wait_time(sqs: Sqs) -> None:
    await sqs.queue(ReceiveMessageWaitTimeSeconds="20")
    poll = asyncio.create_task(sqs.receive())
    await sqs.clock.until_asleep()
    sqs.clock.advance(20)
    assert await poll == []


async def test_polls_are_served_in_order_of_arrival(sqs: Sqs) -> None:
    await sqs.queue()
    first = sqs.polling()
    await sqs.clock.until_asleep(1)
    second = sqs.polling()
    await sqs.clock.until_asleep(2)
    await sqs.send("1")
    assert [message["Body"] for message in await first] == ["1"]
    await sqs.send("2")
    assert [message["Body"] for message in await second] == ["2"]


async def test_a_cancelled_poll_receives_nothing(sqs: Sqs) -> None:
    queue = await sqs.queue()
    cancelled = sqs.polling()
    await sqs.clock.until_asleep(1)
    waiting = sqs.polling()
    await sqs.clock.until_asleep(2)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    while len(queue.waiters) > 1:
        await sqs.call("ListQueues")
    await sqs.send("x")
    assert [message["Body"] for message in await waiting] == ["x"]


async def test_a_delay_and_a_visibility_timeout_end_on_time(sqs: Sqs) -> None:
    queue = await sqs.queue(VisibilityTimeout="30")
    await sqs.send("x", DelaySeconds=900)
    sqs.clock.advance(899)
    assert queue.counts() == (0, 0, 1)
    sqs.clock.advance(1)
    assert len(await sqs.receive()) == 1
    assert queue.counts() == (0, 1, 0)
    sqs.clock.advance(30)
    assert queue.counts() == (1, 0, 0)


async def test_a_poll_notices_a_visibility_timeout_that_was_set_after_it_began(sqs: Sqs) -> None:
    await sqs.queue(VisibilityTimeout="600")
    await sqs.send("x")
    [message] = await sqs.receive()
    poll = sqs.polling(seconds=20)
    await sqs.clock.until_asleep()
    await sqs.hold(message, 5)
    await asyncio.sleep(0)
    sqs.clock.advance(5)
    assert [again["MessageId"] for again in await poll] == [message["MessageId"]]


async def test_a_message_expires_after_the_retention_period(sqs: Sqs) -> None:
    queue = await sqs.queue(MessageRetentionPeriod="60")
    await sqs.send("x")
    sqs.clock.advance(59)
    assert len(queue.messages()) == 1
    sqs.clock.advance(1)
    assert queue.messages() == ()
    assert await sqs.receive() == []


async def test_a_shorter_retention_applies_to_existing_messages(sqs: Sqs) -> None:
    queue = await sqs.queue()
    await sqs.send("x")
    sqs.clock.advance(HOUR)
    attributes = {"MessageRetentionPeriod": "600"}
    await sqs.call("SetQueueAttributes", QueueUrl="q", Attributes=attributes)
    assert queue.messages() == ()


async def test_a_visibility_timeout_ends_twelve_hours_after_the_receive(sqs: Sqs) -> None:
    await sqs.queue()
    await sqs.send("x")
    sqs.clock.advance(DAY)
    [message] = await sqs.receive(VisibilityTimeout=3_600)
    sqs.clock.advance(HOUR / 2)
    with pytest.raises(Refused) as refused:
        await sqs.hold(message, 43_200)
    assert refused.value.header == "InvalidParameterValue;Sender"
    assert "beyond the limit" in refused.value.message
    await sqs.hold(message, 43_200 - 1_800)
    sqs.clock.advance(11.5 * HOUR - 1)
    assert await sqs.receive() == []
    sqs.clock.advance(1)
    [again] = await sqs.receive(VisibilityTimeout=43_200)
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"


async def test_a_standard_dead_letter_keeps_its_age(sqs: Sqs) -> None:
    dead = await sqs.queue("dead", MessageRetentionPeriod=str(int(4 * DAY)))
    policy = f'{{"deadLetterTargetArn":"{dead.arn}","maxReceiveCount":"1"}}'
    await sqs.queue(RedrivePolicy=policy)
    await sqs.send("x")
    sqs.clock.advance(DAY)
    await sqs.receive(VisibilityTimeout=0)
    assert await sqs.receive() == []
    sqs.clock.advance(3 * DAY - 1)
    [moved] = dead.messages()
    assert moved.dead_letter_source == sqs.server.queues["q"].arn
    sqs.clock.advance(1)
    assert dead.messages() == ()


async def test_deduplication_ends_after_five_minutes(sqs: Sqs) -> None:
    queue = await sqs.queue("q.fifo", FifoQueue="true")
    repeated = {"queue": "q.fifo", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    first = await sqs.send("x", **repeated)
    await sqs.delete((await sqs.receive("q.fifo"))[0], "q.fifo")
    sqs.clock.advance(299)
    assert await sqs.send("x", **repeated) == first
    assert queue.messages() == ()
    sqs.clock.advance(1)
    assert await sqs.send("x", **repeated) != first
    assert len(queue.messages()) == 1
