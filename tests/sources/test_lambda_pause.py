"""The function while the queue is paused: its messages fail without an attempt, or expire."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from relay.delivery.pause import TAG, Pause, tag_value
from relay.delivery.retention import Retention
from relay.local.lambda_events import FunctionError
from relay.local.lambda_events.event import event
from relay.local.sqs.faults import Fault as SqsFault
from relay.model.message import Message
from relay.model.outcome import Outcome, Reject
from relay.settings.clocks import DAY
from relay.sources.lambda_batch import PausableHandler
from tests.delivery.test_paused_handler import ManualPause
from tests.sources.lambda_records import ARN, FIFO, VISIBILITY, Handling, record
from tests.sources.test_lambda_function import NAMELESS, ORDER, deployed, failures

SENT = 1_545_082_649.183
"""When the messages of `lambda_records` were sent, in epoch seconds."""

RETENTION = 10 * DAY
EXPIRING = Reject("expiring", "too old")


class Paused(Handling):
    """A batch handler of a paused queue, `age` seconds after its messages were sent."""

    def __init__(self, age: float = 60.0) -> None:
        super().__init__()
        self.age = age
        self.expired: list[str] = []
        self.pause = ManualPause()
        self.pause.begin()
        self.retention = Retention(RETENTION, hidden=VISIBILITY, clock=lambda: SENT + self.age)
        self.pausable = PausableHandler(
            super()._handle,
            self._expire,
            must_end=self.retention.must_end,
            pause=self.pause,
            visibility=VISIBILITY,
        )

    async def _handle(self, message: Message) -> Outcome:
        return await self.pausable.handle(message)

    async def _expire(self, message: Message) -> Outcome:
        self.expired.append(message.message_id)
        return EXPIRING


def two(arn: str, group: str | None = None) -> list[Mapping[str, Any]]:
    return [record(name, arn=arn, group=group) for name in ("m-1", "m-2")]


async def test_all_messages_are_reported_and_stay_hidden_for_the_queues_visibility_timeout() -> (
    None
):
    handling = Paused()
    assert await handling.failed(*two(FIFO, "a")) == ["m-1", "m-2"]
    assert (handling.handled, handling.changes) == ([], {})


async def test_after_the_pause_messages_are_delivered() -> None:
    handling = Paused()
    handling.pause.end()
    assert await handling.failed(*two(FIFO, "a")) == []
    assert handling.handled == ["m-1", "m-2"]


@pytest.mark.parametrize(
    ("age", "expires"),
    [
        pytest.param(0.9 * RETENTION - VISIBILITY - 1, False, id="back before the last tenth"),
        pytest.param(0.9 * RETENTION - VISIBILITY + 1, True, id="hidden into the last tenth"),
        pytest.param(0.95 * RETENTION, True, id="in the last tenth"),
    ],
)
async def test_a_message_that_would_be_hidden_into_its_last_tenth_expires_without_an_attempt(
    age: float, *, expires: bool
) -> None:
    handling = Paused(age)
    failed = await handling.failed(*two(ARN))
    assert failed == ([] if expires else ["m-1", "m-2"])
    assert handling.expired == (["m-1", "m-2"] if expires else [])
    assert handling.handled == []


async def test_until_the_tags_could_be_read_messages_come_back_within_seconds() -> None:
    handling = Paused()
    handling.pause.current = None
    assert await handling.failed(*two(ARN)) == [
        "m-1",
        "m-2",
    ]
    assert handling.changes == {"m-1": 2.0, "m-2": 2.0}


async def test_a_paused_queue_is_noticed_by_its_tag_and_costs_one_read_for_many_invocations(
    tmp_path: Path,
) -> None:
    async with deployed(tmp_path) as relay:
        tags = relay.sqs.queues["relay"].tags
        tags[TAG] = tag_value(Pause(by="ana@laptop", at=1_767_225_600.0, reason="moving"))
        await relay.send(ORDER, NAMELESS)
        messages, found = await relay.invoke()
        assert failures(found) == [one["MessageId"] for one in messages]
        await relay.send({**ORDER, "id": "order-7"})
        await relay.invoke()
        assert relay.accepted == set()
        assert not relay.sqs.queues["dead"].messages()
        assert relay.sqs.requests["ListQueueTags"] == 1
        assert relay.sqs.requests["ChangeMessageVisibilityBatch"] == 0
        assert [one["paused_by"] for one in relay.lines() if "paused_by" in one] == ["ana@laptop"]
        assert [one["Paused"] for one in relay.lines() if "_aws" in one][-1] == 1


async def test_an_outage_during_a_pause_is_no_error_of_the_function(tmp_path: Path) -> None:
    async with deployed(tmp_path) as relay:
        await relay.inngest.down()
        await relay.send(ORDER)
        _, found = await relay.invoke()
        assert isinstance(found, FunctionError)
        await relay.function.kill()  # the next process reads the tags anew
        relay.sqs.queues["relay"].tags[TAG] = "by hand"
        await relay.send({**ORDER, "id": "order-7"})
        messages, found = await relay.invoke()
        assert failures(found) == [one["MessageId"] for one in messages]


@pytest.mark.parametrize("error", ["AccessDenied", "ServiceUnavailable"])
async def test_a_function_that_may_not_read_the_tags_delivers_and_one_that_cannot_waits(
    error: str, tmp_path: Path
) -> None:
    async with deployed(tmp_path) as relay:
        relay.sqs.faults.add(SqsFault(action="ListQueueTags", error=error, times=None))
        await relay.send(ORDER)
        messages, found = await relay.invoke()
        refused = error == "AccessDenied"
        assert failures(found) == ([] if refused else [messages[0]["MessageId"]])
        assert relay.accepted == ({"order-1"} if refused else set())
        assert ("notices no `relay pause`" in relay.text) == refused
        relay.sqs.faults.clear()
        again = await relay.queue.receive(10, 0 if refused else 20)  # back within 3 s
        if not refused:
            assert failures(await relay.function.invoke(event(again, relay.queue.arn))) == []
        assert relay.accepted == {"order-1"}
