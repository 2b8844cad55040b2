"""Observers get every fact in order, and an error in one affects no other fact or observer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from relay.model.facts import DeletedLate, Fact, LeaseLost, Received
from relay.telemetry.observers import FactHandlers, Observers
from tests.telemetry.samples import message


class RecordingObserver:
    """Keeps all facts, but raises for `LeaseLost`."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.rounds = 0
        self.handlers: FactHandlers = {
            Received: self.keep,
            DeletedLate: self.keep,
            LeaseLost: self.fail,
        }

    def keep(self, facts: Iterator[Fact]) -> None:
        self.facts.extend(facts)

    def fail(self, facts: Iterator[Fact]) -> None:
        for _ in facts:
            raise KeyError("a bug")

    def end_round(self) -> None:
        self.rounds += 1


class BrokenObserver:
    """Raises before it takes a fact, and at the end of the round."""

    def __init__(self) -> None:
        self.handlers: FactHandlers = {DeletedLate: self.fail}

    def fail(self, facts: Iterator[Fact]) -> None:
        raise OSError("a disk")

    def end_round(self) -> None:
        raise OSError("a disk")


class ManualLoop:
    """`call_soon` whose calls are made by hand."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def call_soon(self, call: Callable[[], None]) -> None:
        self.waiting.append(call)

    def turn(self) -> None:
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()


def test_every_fact_is_passed_on_in_order_at_the_next_turn_of_the_loop() -> None:
    loop, first, second = ManualLoop(), RecordingObserver(), RecordingObserver()
    observers = Observers(first, second, call_soon=loop.call_soon, on_error=lambda: None)
    facts: list[Fact] = [Received(message("a")), DeletedLate("a"), Received(message("b"))]
    for fact in facts:
        observers.observe(fact)
    assert first.facts == []
    loop.turn()
    assert first.facts == second.facts == facts
    assert first.rounds == second.rounds == 1


def test_a_round_is_scheduled_once_and_again_after_it() -> None:
    loop, observer = ManualLoop(), RecordingObserver()
    observers = Observers(observer, call_soon=loop.call_soon, on_error=lambda: None)
    for _ in range(2):
        observers.observe(DeletedLate("a"))
        observers.observe(DeletedLate("b"))
        assert len(loop.waiting) == 1
        loop.turn()
    assert len(observer.facts) == 4


def test_without_a_fact_nothing_is_passed_on() -> None:
    errors, observer = list[int](), RecordingObserver()
    loop = ManualLoop()
    observers = Observers(observer, call_soon=loop.call_soon, on_error=lambda: errors.append(1))
    observers.flush()
    assert (errors, observer.facts) == ([], [])


def test_an_error_is_counted_and_loses_no_other_fact(caplog: pytest.LogCaptureFixture) -> None:
    errors, first, second = list[int](), RecordingObserver(), RecordingObserver()
    loop = ManualLoop()
    observers = Observers(
        first, second, call_soon=loop.call_soon, on_error=lambda: errors.append(1)
    )
    before, after = Received(message("a")), Received(message("b"))
    for fact in (before, LeaseLost("bad"), after, LeaseLost("bad")):
        observers.observe(fact)
    observers.flush()
    assert first.facts == second.facts == [before, after]
    assert len(errors) == 4
    (record,) = caplog.records
    assert record.message.endswith("an observer failed")


def test_a_broken_observer_keeps_no_fact_from_another_one() -> None:
    errors, observer = list[int](), RecordingObserver()
    loop = ManualLoop()
    observers = Observers(
        BrokenObserver(), observer, call_soon=loop.call_soon, on_error=lambda: errors.append(1)
    )
    observers.observe(DeletedLate("a"))
    observers.flush()
    assert observer.facts == [DeletedLate("a")]
    assert errors
