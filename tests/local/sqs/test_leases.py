"""Receipt handles, valid and stale, on both kinds of queue."""

from __future__ import annotations

import pytest

from .conftest import Refused, Sqs


async def test_an_expired_handle_deletes_on_a_standard_queue(sqs: Sqs) -> None:
    queue = await sqs.queue()
    await sqs.send("x")
    [message] = await sqs.receive(VisibilityTimeout=10)
    sqs.clock.advance(10)
    assert queue.counts() == (1, 0, 0)
    await sqs.delete(message)
    assert queue.counts() == (0, 0, 0)


async def test_the_handle_of_an_earlier_receive_serves_for_the_later_one(sqs: Sqs) -> None:
    queue = await sqs.queue()
    await sqs.send("x")
    [first] = await sqs.receive(VisibilityTimeout=0)
    [second] = await sqs.receive(VisibilityTimeout=10)
    await sqs.hold(first, 20)
    sqs.clock.advance(10)
    assert queue.counts() == (0, 1, 0)
    await sqs.delete(first)
    assert queue.counts() == (0, 0, 0)
    await sqs.delete(second)
    with pytest.raises(Refused, match="not available for visibility timeout change"):
        await sqs.hold(second, 5)


async def test_a_message_that_is_visible_again_stays_visible(sqs: Sqs) -> None:
    queue = await sqs.queue()
    await sqs.send("x")
    [message] = await sqs.receive(VisibilityTimeout=1)
    sqs.clock.advance(1)
    await sqs.hold(message, 5)
    assert queue.counts() == (1, 0, 0)


async def test_a_stale_handle_is_an_error_on_a_fifo_queue(sqs: Sqs) -> None:
    name = "q.fifo"
    queue = await sqs.queue(name, FifoQueue="true")
    await sqs.send("x", queue=name, MessageGroupId="g", MessageDeduplicationId="d")
    [message] = await sqs.receive(name, VisibilityTimeout=1)
    sqs.clock.advance(1)
    for act in (sqs.delete(message, name), sqs.hold(message, 5, name)):
        with pytest.raises(Refused, match="The receipt handle has expired") as refused:
            await act
        assert refused.value.header == "InvalidParameterValue;Sender"
    entry = {"Id": "0", "ReceiptHandle": message["ReceiptHandle"]}
    done = await sqs.call("DeleteMessageBatch", QueueUrl=name, Entries=[entry])
    assert done["Failed"][0]["Code"] == "ReceiptHandleIsInvalid"
    assert queue.counts() == (1, 0, 0)


async def test_a_handle_of_another_queue_is_invalid(sqs: Sqs) -> None:
    await sqs.queue()
    await sqs.queue("other")
    await sqs.send("x")
    [message] = await sqs.receive()
    with pytest.raises(Refused) as refused:
        await sqs.delete(message, "other")
    assert (refused.value.code, refused.value.status) == ("ReceiptHandleIsInvalid", 404)


async def test_a_fifo_receive_can_be_repeated_by_its_attempt_id(sqs: Sqs) -> None:
    name = "q.fifo"
    await sqs.queue(name, FifoQueue="true")
    for dedup in "ab":
        await sqs.send(dedup, queue=name, MessageGroupId="g", MessageDeduplicationId=dedup)
    first = await sqs.receive(name, VisibilityTimeout=30, ReceiveRequestAttemptId="one")
    sqs.clock.advance(20)
    again = await sqs.receive(name, VisibilityTimeout=30, ReceiveRequestAttemptId="one")
    assert [m["ReceiptHandle"] for m in again] == [m["ReceiptHandle"] for m in first]
    sqs.clock.advance(20)
    assert await sqs.receive(name, ReceiveRequestAttemptId="two") == []
    await sqs.delete(first[0], name)
    assert await sqs.receive(name, ReceiveRequestAttemptId="one") == []


async def test_a_message_received_often_goes_to_the_back(sqs: Sqs) -> None:
    await sqs.queue()
    await sqs.send("often", "once", "new")
    for _ in range(3):
        [message] = await sqs.receive(MaxNumberOfMessages=1, VisibilityTimeout=0)
        assert message["Body"] == "often"
    assert [message["Body"] for message in await sqs.receive()] == ["once", "new", "often"]
