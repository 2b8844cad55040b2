"""Observers hear every fact in order, and their mistakes harm nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from relay.model.facts import DeletedLate, Fact, LeaseLost, Received
from relay.telemetry.observers import Observers, Ways
from tests.telemetry.samples import message


class Hearing:
    """Keeps what it hears, but for leases that were lost: there it has a mistake."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.rounds = 0
        self.ways: Ways = {
            Received: self.hear,
            DeletedLate: self.hear,
            LeaseLost: self.fail,
        }

    def hear(self, facts: Iterator[Fact]) -> None:
        self.facts.extend(facts)

    def fail(self, facts: Iterator[Fact]) -> None:
        for _ in facts:
            raise KeyError("a bug")

    def end_round(self) -> None:
        self.rounds += 1


class Deaf:
    """Never gets as far as to hear a fact."""

    def __init__(self) -> None:
        self.ways: Ways = {DeletedLate: self.hear}

    def hear(self, facts: Iterator[Fact]) -> None:
        raise OSError("a disk")

    def end_round(self) -> None:
        raise OSError("a disk")


class Turns:
    """What is to be called soon, called by hand."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def soon(self, call: Callable[[], None]) -> None:
        self.waiting.append(call)

    def turn(self) -> None:
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()


def test_every_fact_is_told_in_order_when_its_round_ends() -> None:
    turns, first, second = Turns(), Hearing(), Hearing()
    observers = Observers(first, second, soon=turns.soon, failed=lambda: None)
    facts: list[Fact] = [Received(message("a")), DeletedLate("a"), Received(message("b"))]
    for fact in facts:
        observers.observe(fact)
    assert first.facts == []
    turns.turn()
    assert first.facts == second.facts == facts
    assert first.rounds == second.rounds == 1


def test_a_round_is_asked_for_once_and_again_after_it() -> None:
    turns, hearing = Turns(), Hearing()
    observers = Observers(hearing, soon=turns.soon, failed=lambda: None)
    for _ in range(2):
        observers.observe(DeletedLate("a"))
        observers.observe(DeletedLate("b"))
        assert len(turns.waiting) == 1
        turns.turn()
    assert len(hearing.facts) == 4


def test_without_a_fact_nothing_is_told() -> None:
    failures, hearing = list[int](), Hearing()
    observers = Observers(hearing, soon=Turns().soon, failed=lambda: failures.append(1))
    observers.tell()
    assert (failures, hearing.facts) == ([], [])


def test_a_mistake_is_counted_and_costs_no_other_fact(caplog: pytest.LogCaptureFixture) -> None:
    failures, first, second = list[int](), Hearing(), Hearing()
    observers = Observers(first, second, soon=Turns().soon, failed=lambda: failures.append(1))
    before, after = Received(message("a")), Received(message("b"))
    for fact in (before, LeaseLost("bad"), after, LeaseLost("bad")):
        observers.observe(fact)
    observers.tell()
    assert first.facts == second.facts == [before, after]
    assert len(failures) == 4
    assert [record.message for record in caplog.records] == ["a fact was not told"]


def test_one_that_hears_nothing_keeps_no_other_from_hearing() -> None:
    failures, hearing = list[int](), Hearing()
    observers = Observers(Deaf(), hearing, soon=Turns().soon, failed=lambda: failures.append(1))
    observers.observe(DeletedLate("a"))
    observers.tell()
    assert hearing.facts == [DeletedLate("a")]
    assert failures
