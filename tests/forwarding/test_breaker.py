"""The circuit breaker: one probe at a time, and results of an older epoch are ignored."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from relay.forwarding.circuit_breaker import HALT, MAX_RETRY_AFTER, OUTAGE, Backoff, Breaker, Permit


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock, **failure: object) -> Breaker:
    breaker = Breaker(clock=clock, random=lambda: 1.0)
    breaker.failed(breaker.admit(), "down", **failure)  # type: ignore[arg-type] # any of its options
    return breaker


def test_every_request_is_admitted_until_a_failure() -> None:
    breaker = Breaker(clock=Clock())
    assert [breaker.admit().probe for _ in range(3)] == [False] * 3
    assert (breaker.state, breaker.closed, breaker.wait) == ("closed", True, 0)


def test_a_failure_opens_the_circuit_until_a_probe_is_due() -> None:
    clock = Clock()
    breaker = opened(clock)
    assert (breaker.state, breaker.reason, breaker.admits) == ("open", "down", False)
    with pytest.raises(RuntimeError, match="open"):
        breaker.admit()
    clock.now += breaker.wait
    assert (breaker.state, breaker.admits) == ("half-open", True)
    assert breaker.admit().probe
    assert (breaker.state, breaker.admits) == ("half-open", False)


def test_any_answer_to_the_probe_closes_the_circuit() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 5
    assert breaker.answered(breaker.admit())
    assert (breaker.state, breaker.reason, breaker.seconds) == ("closed", "", 0)


def test_each_failed_probe_waits_longer_up_to_a_cap() -> None:
    clock = Clock()
    breaker = opened(clock)
    waits = []
    for _ in range(8):
        waits.append(breaker.wait)
        clock.now += breaker.wait
        breaker.failed(breaker.admit(), "still down")
    assert waits == [1, 2, 4, 8, 16, 20, 20, 20]
    assert breaker.seconds == sum(waits)


def test_an_answer_of_an_older_epoch_is_ignored() -> None:
    clock = Clock()
    breaker = Breaker(clock=clock)
    before = breaker.admit()
    breaker.failed(breaker.admit(), "down")
    assert not breaker.answered(before)
    assert not breaker.failed(before, "late", setting="RELAY_X")
    assert (breaker.circuit, breaker.setting) == ("open", None)
    clock.now += 60
    breaker.answered(breaker.admit())
    assert not breaker.failed(before, "later still")
    assert breaker.closed


def test_a_cancelled_probe_allows_another_and_changes_nothing_else() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 60
    breaker.release(breaker.admit())
    assert (breaker.state, breaker.admits) == ("half-open", True)


def test_releasing_an_older_probe_does_not_affect_the_current_one() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 60
    old = breaker.admit()
    breaker.failed(old, "down")
    clock.now += 60
    breaker.admit()
    breaker.release(old)
    assert not breaker.admits


def test_a_halt_names_its_setting_and_is_probed_more_slowly() -> None:
    clock = Clock()
    breaker = opened(clock, setting="RELAY_INNGEST_EVENT_KEY", proven=True)
    assert (breaker.state, breaker.setting) == ("halted", "RELAY_INNGEST_EVENT_KEY")
    assert breaker.wait == HALT.first
    assert breaker.proven
    clock.now += breaker.wait
    assert breaker.state == "halted"
    breaker.failed(breaker.admit(), "refused")
    assert (breaker.state, breaker.setting, breaker.wait) == ("open", None, 2)


@pytest.mark.parametrize(("after", "wait"), [(7.0, 7.0), (0.2, 1.0), (1e9, MAX_RETRY_AFTER)])
def test_a_requested_wait_is_kept_within_bounds(after: float, wait: float) -> None:
    assert opened(Clock(), after=after).wait == wait


def test_jitter_removes_up_to_half_of_a_wait() -> None:
    backoff = Backoff(2.0, 100.0)
    assert backoff.delay(3, lambda: 0.0) == 4
    assert backoff.delay(3, lambda: 1.0) == 8
    assert backoff.delay(10_000, random.random) <= 100


class AnyHistory(RuleBasedStateMachine):
    """In any sequence of calls, at most one probe is running."""

    @initialize()
    def begin(self) -> None:
        self.clock = Clock()
        self.breaker = Breaker(clock=self.clock)
        self.out: list[Permit] = []

    @precondition(lambda self: self.breaker.admits)
    @rule()
    def admit(self) -> None:
        was_closed = self.breaker.closed
        permit = self.breaker.admit()
        assert permit.probe is not was_closed
        self.out.append(permit)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        permit = self.taken(data)
        if self.breaker.answered(permit):
            assert self.breaker.closed

    @precondition(lambda self: self.out)
    @rule(data=st.data(), setting=st.sampled_from([None, "RELAY_X"]), after=st.floats(0, 1e6))
    def fail(self, data: st.DataObject, setting: str | None, after: float) -> None:
        if self.breaker.failed(self.taken(data), "down", setting=setting, after=after):
            assert not self.breaker.closed
            assert 0 < self.breaker.wait < max(OUTAGE.cap, HALT.cap, MAX_RETRY_AFTER) + 0.001

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.breaker.release(self.taken(data))

    @rule(seconds=st.floats(0, 400))
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def recover(self) -> None:
        """It never blocks for ever: with no probe running, time alone makes one due."""
        if not any(permit.probe and self.breaker.current(permit) for permit in self.out):
            self.clock.now += self.breaker.wait
            assert self.breaker.admits

    @invariant()
    def one_probe_at_most(self) -> None:
        probes = [p for p in self.out if p.probe and self.breaker.current(p)]
        assert len(probes) <= 1
        if probes:
            assert not self.breaker.admits

    def taken(self, data: st.DataObject) -> Permit:
        return self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
