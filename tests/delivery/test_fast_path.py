"""The fast path ends as the path with a task does, and only troubled messages leave it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from relay.delivery.fast_path import FastDelivery, Rest
from relay.delivery.retention import EXPIRING_SHARE, GRACE
from relay.model.facts import Fact, Handled, Received
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject, Retry
from tests.delivery.handler_rig import DAY, NOW, HandlerRig, event, message, origin, turns


class Caller:
    """Begins to handle a message; runs the rest in a task when there is one."""

    def __init__(self, rig: HandlerRig, one: Message) -> None:
        self.outcomes: list[Outcome] = []
        self.task: asyncio.Future[Outcome] | None = None
        self.begun = rig.handler.begin_exclusive(one, self)
        if not isinstance(self.begun, FastDelivery):
            self.proceed(self.begun)

    def finished(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def proceed(self, rest: Rest) -> None:
        assert self.task is None
        self.task = asyncio.ensure_future(rest())

    async def outcome(self) -> Outcome:
        while not self.outcomes and self.task is None:  # noqa: ASYNC110 - one of the two calls
            await asyncio.sleep(0)
        return self.outcomes[0] if self.task is None else await self.task


def kinds(facts: list[Fact]) -> list[str]:
    return [type(fact).__name__ for fact in facts]


@pytest.mark.parametrize(
    "answer",
    [
        Delivered("ref"),
        Delivered("ref", duplicate=True),
        Retry("later", 5.0),
        Reject("refused_by_destination", "no", may_have_run=True),
    ],
)
async def test_both_paths_have_the_same_outcome_and_the_same_facts(answer: Outcome) -> None:
    fast, slow = HandlerRig({"m-1": answer}), HandlerRig({"m-1": answer})
    one = message(event(), sent_at=NOW - 3)
    outcome = await Caller(fast, one).outcome()
    assert outcome == await slow.handler.handle_exclusive(one)
    assert fast.facts == slow.facts
    assert fast.store.copies == slow.store.copies
    assert fast.handler.status == slow.handler.status
    assert fast.handler.status.in_flight == 0


async def test_a_delivered_message_has_no_task_and_is_in_flight_until_then() -> None:
    rig = HandlerRig()
    caller = Caller(rig, message(event()))
    assert rig.handler.status.in_flight == 1
    assert isinstance(await caller.outcome(), Delivered)
    assert caller.task is None
    assert rig.handler.status.in_flight == 0


@pytest.mark.parametrize(
    ("one", "outcome"),
    [
        (message(event(), receive_count=2), Delivered),
        (message([event(), event()]), Delivered),
        (message("{"), Reject),
        (message(event(data={"x": "y" * 10_000})), Delivered),
        (message(event(), sent_at=NOW - 9.5 * DAY), Delivered),
    ],
)
async def test_a_special_message_is_not_begun(one: Message, outcome: type[Outcome]) -> None:
    rig = HandlerRig()
    caller = Caller(rig, one)
    assert not isinstance(caller.begun, FastDelivery)
    assert isinstance(await caller.outcome(), outcome)
    assert kinds(rig.facts).count("Received") == kinds(rig.facts).count("Handled") == 1


async def test_a_redelivered_dead_letter_is_not_begun() -> None:
    rig = HandlerRig({"m-1": Reject("refused_by_destination", "no")})
    await Caller(rig, message(event())).outcome()
    again = Caller(rig, message(event()))
    assert not isinstance(again.begun, FastDelivery)
    assert isinstance(await again.outcome(), Reject)
    assert len(rig.store.copies) == 1


@pytest.mark.parametrize("ambiguous", [False, True])
async def test_an_expiring_message_leaves_the_path_and_is_dead_lettered(ambiguous: bool) -> None:
    rig = HandlerRig({"m-1": None, "m-2": None})
    if ambiguous:
        rig.forwarder.ambiguous.add("m-1")
    sent_at = NOW - 10 * DAY * EXPIRING_SHARE + 100
    expiring = Caller(rig, message(event(), sent_at=sent_at))
    other = Caller(rig, message(event(), "m-2", sent_at=NOW))
    await turns()
    rig.now += 101 + GRACE
    rig.handler.expire()
    outcome = await expiring.outcome()
    assert isinstance(outcome, Reject)
    assert outcome.code == "expiring"
    assert origin(rig.store.copies[0]).may_have_run is ambiguous
    assert rig.forwarder.withdrawn == ["m-1"]
    await turns()
    assert (other.outcomes, other.task) == ([], None)
    assert rig.handler.status.in_flight == 1


async def test_a_message_that_is_withdrawn_is_cancelled_like_any_other() -> None:
    rig = HandlerRig({"m-1": None})
    caller = Caller(rig, message(event(), sent_at=NOW))
    assert isinstance(caller.begun, FastDelivery)
    caller.begun.take_apart()
    caller.begun.take_apart()  # a second time changes nothing
    await turns()
    assert caller.task is not None
    caller.task.cancel()
    await asyncio.gather(caller.task, return_exceptions=True)
    assert caller.task.cancelled()
    assert rig.forwarder.withdrawn == ["m-1"]
    assert rig.handler.status.in_flight == 0


async def test_what_left_the_path_counts_as_seen_when_it_returns() -> None:
    rig = HandlerRig({"m-1": Retry("later")})
    await Caller(rig, message(event(), sent_at=NOW)).outcome()
    rig.now += 9.5 * DAY
    await Caller(rig, message(event(), sent_at=NOW, receive_count=2)).outcome()
    assert not origin(rig.store.copies[0]).may_have_run


async def test_an_error_concerns_its_message_only() -> None:
    rig = HandlerRig()
    observe: Callable[[Any], None] = rig.facts.append

    def failing(fact: Fact) -> None:
        if isinstance(fact, Handled) and fact.message.message_id == "m-1":
            raise RuntimeError("a bug")
        observe(fact)

    rig.handler._observe = rig.handler._processing._observe = failing
    failed, other = Caller(rig, message(event())), Caller(rig, message(event(), "m-2"))
    with pytest.raises(RuntimeError, match="a bug"):
        await failed.outcome()
    assert isinstance(await other.outcome(), Delivered)
    assert [type(fact) for fact in rig.facts] == [Received, Received, Handled]
