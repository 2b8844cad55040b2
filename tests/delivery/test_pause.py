"""The mark of a paused queue, and the monitor that reads it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from relay.aws.errors import AwsError
from relay.delivery.pause import (
    CHECK_EVERY,
    LONGEST_VALUE,
    REFUSED_EVERY,
    START_WITHIN,
    TAG,
    WARN_AFTER,
    Pause,
    PauseMonitor,
    read_pause,
    tag_value,
)
from relay.model.facts import Fact, PauseChanged

NOW = 1_767_225_600.0
PAUSED = Pause(by="ana@laptop", at=NOW, reason="deploying, INC-42 (again)")
TAGS = {TAG: tag_value(PAUSED), "team": "orders"}

# What AWS allows in the value of a tag.
ALLOWED = re.compile(r"[A-Za-z0-9 _.:/=+\-@]*")

line = st.text(st.characters(codec="utf-8")).map(lambda text: " ".join(text.split()))


class Queue:
    """A queue whose tags a test sets; an error is raised, None never answers."""

    def __init__(self) -> None:
        self.now = NOW
        self.tags: Mapping[str, str] | AwsError | None = {}
        self.reads = 0
        self.facts: list[Fact] = []
        self.slept: list[float] = []
        self.monitor = PauseMonitor(
            self.read,
            observe=self.facts.append,
            clock=lambda: self.now,
            sleep=self.sleep,
            uniform=lambda _low, high: high,
        )

    async def read(self) -> Mapping[str, str]:
        self.reads += 1
        if self.tags is None:
            await asyncio.Event().wait()
        if isinstance(self.tags, AwsError):
            raise self.tags
        assert self.tags is not None
        return self.tags

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    async def check(self, after: float = CHECK_EVERY) -> bool:
        """Whether it is paused after the next read."""
        self.now += after
        await self.monitor.check()
        return self.monitor.paused


THROTTLED = AwsError("RequestThrottled", "throttled", "AWS throttles it")
DENIED = AwsError("AccessDenied", "denied", "grant sqs:ListQueueTags")


@given(by=line.filter(lambda text: " " not in text and text.isprintable()), reason=line)
def test_any_reason_survives_the_tag_in_characters_that_a_tag_may_hold(
    by: str, reason: str
) -> None:
    printable = " ".join("".join(c if c.isprintable() else " " for c in reason).split())
    pause = Pause(by=by, at=NOW, reason=printable)
    value = tag_value(pause)
    assume(len(value) <= LONGEST_VALUE)  # `relay pause` refuses a longer one
    assert ALLOWED.fullmatch(value)
    assert read_pause({TAG: value}) == pause


@given(value=st.text())
def test_any_value_of_the_tag_is_a_pause_with_one_line_to_print(value: str) -> None:
    pause = read_pause({TAG: value})
    assert pause is not None
    assert pause.sentence.isprintable()
    assert pause.as_json()["reason"] == pause.reason


def test_without_the_tag_there_is_no_pause() -> None:
    assert read_pause({"Relay-Paused": "yes"}) is None
    assert read_pause({}) is None


def test_the_sentence_says_who_when_and_why() -> None:
    assert PAUSED.sentence == (
        "paused by ana@laptop since 2026-01-01 00:00:00Z: deploying, INC-42 (again)"
    )
    by_hand = read_pause({TAG: "until Monday"})
    assert by_hand is not None
    assert by_hand.sentence == "paused: until Monday"


async def test_nothing_is_taken_before_the_first_read() -> None:
    queue = Queue()
    assert queue.monitor.paused
    assert queue.monitor.current is None
    assert not await queue.check()
    assert await queue.monitor.wait_resumed()
    assert queue.facts == []


async def test_a_pause_has_a_start_and_an_end_with_its_length() -> None:
    queue = Queue()
    queue.now -= 10.0
    await queue.check(0.0)
    queue.tags = TAGS
    assert await queue.check(20.0)
    assert await queue.check()
    queue.tags = {"team": "orders"}
    assert not await queue.check(35.0)
    assert queue.facts == [
        PauseChanged(paused=True, by=PAUSED.by, reason=PAUSED.reason, seconds=0.0),
        PauseChanged(paused=False, by=PAUSED.by, reason=PAUSED.reason, seconds=60.0),
    ]


async def test_after_a_restart_the_length_counts_from_the_pause_and_not_from_the_restart() -> None:
    queue = Queue()
    queue.tags = TAGS
    assert await queue.check(3_600.0)
    queue.tags = {}
    await queue.check(0.0)
    assert [fact.seconds for fact in queue.facts if isinstance(fact, PauseChanged)] == [0, 3_600]


@pytest.mark.parametrize("error", [THROTTLED, DENIED], ids=["throttled", "denied"])
@pytest.mark.parametrize("tags", [TAGS, {}], ids=["paused", "not paused"])
async def test_a_read_that_fails_changes_nothing(error: AwsError, tags: dict[str, str]) -> None:
    queue = Queue()
    queue.tags = tags
    before = await queue.check()
    queue.tags = error
    for _ in range(1_000):
        assert await queue.check() is before
    queue.tags = {} if before else TAGS
    assert await queue.check() is not before
    assert queue.monitor.warning is None


async def test_a_relay_without_the_permission_delivers_at_once_and_warns_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue = Queue()
    queue.tags = DENIED
    assert not await queue.check(0.0)
    assert not await queue.check()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "sqs:ListQueueTags" in caplog.text
    assert "sqs:ListQueueTags" in str(queue.monitor.warning)


async def test_a_relay_that_gets_no_answer_at_its_start_delivers_after_half_a_minute() -> None:
    queue = Queue()
    queue.tags = THROTTLED
    assert await queue.check(0.0)
    assert queue.monitor.warning is None
    assert await queue.check(START_WITHIN - 1.0)
    assert not await queue.check(1.0)
    assert queue.monitor.warning is not None


async def test_a_relay_that_is_throttled_at_its_start_sees_the_pause_with_the_first_answer() -> (
    None
):
    queue = Queue()
    queue.tags = THROTTLED
    await queue.check(0.0)
    queue.tags = TAGS
    assert await queue.check(2.0)
    assert queue.monitor.current == PAUSED


async def test_transient_failures_are_worth_a_warning_after_minutes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue = Queue()
    await queue.check()
    queue.tags = THROTTLED
    await queue.check(0.0)
    await queue.check(WARN_AFTER - 1.0)
    assert not caplog.records
    await queue.check(1.0)
    await queue.check()
    assert len(caplog.records) == 1


async def test_it_reads_often_and_less_often_what_only_a_person_can_allow() -> None:
    queue = Queue()
    running = asyncio.create_task(queue.monitor.run())
    while queue.reads < 3:  # noqa: ASYNC110 - the sleeps of this test take no time
        await asyncio.sleep(0)
    queue.tags, reads = DENIED, queue.reads
    while queue.reads < reads + 3:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})
    assert set(queue.slept) == {CHECK_EVERY, REFUSED_EVERY}
    assert queue.slept[-1] == REFUSED_EVERY


async def test_a_host_that_is_suspended_between_messages_reads_when_it_is_due() -> None:
    queue = Queue()
    await queue.monitor.refresh()
    await queue.monitor.refresh()
    assert queue.reads == 1
    queue.now += CHECK_EVERY
    queue.tags = TAGS
    await queue.monitor.refresh()
    assert (queue.reads, queue.monitor.paused) == (2, True)


async def test_those_who_wait_go_on_when_the_queue_is_resumed() -> None:
    queue = Queue()
    queue.tags = TAGS
    await queue.check()
    waiting = asyncio.create_task(queue.monitor.wait_resumed())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.tags = {}
    await queue.check()
    assert await waiting
