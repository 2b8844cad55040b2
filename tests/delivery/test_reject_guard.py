"""The reject guard halts on a code that suddenly becomes common, never on a few poison messages."""

from __future__ import annotations

import pytest

from relay.delivery.reject_guard import HISTORY, MIN_REJECTS, SHOWN_FOR, WINDOW, RejectGuard
from relay.model.facts import Fact, RejectGuardChanged, RejectHeld
from relay.model.outcome import Reject
from tests.delivery.handler_rig import message

BAD = Reject("not_json", "the body is not JSON")
OTHER = Reject("no_name", "the event has no name")


def held(guard: RejectGuard, message_id: str, reject: Reject = BAD) -> bool:
    return guard.hold(message({}, message_id), reject) is not None


def flood(guard: RejectGuard, count: int, name: str = "bad", *, first: int = 0) -> int:
    """How many of so many rejects are held."""
    return sum(held(guard, f"{name}{n}") for n in range(first, count))


def test_lets_few_rejects_through() -> None:
    guard = RejectGuard()
    assert not flood(guard, MIN_REJECTS - 1)
    assert guard.suspicion is None


def test_halts_when_everything_is_rejected_with_one_code() -> None:
    guard = RejectGuard()
    assert flood(guard, MIN_REJECTS) == 1
    assert guard.suspicion is not None
    assert guard.suspicion.codes == ("not_json",)
    assert "RELAY_ENVELOPE" in str(guard.suspicion)


def test_goes_on_with_other_codes_while_it_halts_one() -> None:
    guard = RejectGuard()
    assert flood(guard, MIN_REJECTS)
    assert not held(guard, "other", OTHER)


def test_admits_the_held_rejects_when_most_messages_pass_again() -> None:
    guard = RejectGuard()
    assert flood(guard, MIN_REJECTS + 10) == 11
    for n in range(MIN_REJECTS + 11):
        guard.passed(f"good{n}")
    assert guard.suspicion is None
    assert not flood(guard, MIN_REJECTS + 10, first=MIN_REJECTS)


def test_what_was_held_before_a_release_is_admitted_in_the_next_halt_too() -> None:
    guard = RejectGuard()
    flood(guard, 2 * MIN_REJECTS)
    for n in range(WINDOW):
        guard.passed(f"good{n}")
    assert flood(guard, WINDOW, "new") > 0
    assert guard.suspicion is not None
    assert not flood(guard, 2 * MIN_REJECTS, first=MIN_REJECTS)


def test_counts_a_message_once_however_often_it_comes() -> None:
    guard = RejectGuard()
    for _ in range(10 * MIN_REJECTS):
        held(guard, "same")
    assert guard.suspicion is None


def test_a_held_message_that_returns_is_not_counted_again() -> None:
    guard = RejectGuard()
    flood(guard, 4 * WINDOW)
    for n in range(WINDOW // 2):
        assert flood(guard, 4 * WINDOW, first=MIN_REJECTS) == 4 * WINDOW - MIN_REJECTS
        guard.passed(f"good{n}")
    assert guard.suspicion is None


def test_one_good_message_that_is_delivered_again_and_again_does_not_release_the_guard() -> None:
    guard = RejectGuard()
    flood(guard, 2 * MIN_REJECTS)
    for _ in range(WINDOW):
        guard.passed("good")
    assert guard.suspicion is not None


def test_start_and_end_of_a_halt_and_each_held_message_are_reported() -> None:
    facts: list[Fact] = []
    now = [0.0]
    guard = RejectGuard(observe=facts.append, clock=lambda: now[0])
    flood(guard, MIN_REJECTS + 2)
    now[0] = 5.0
    for n in range(MIN_REJECTS + 3):
        guard.passed(f"good{n}")
    start, end = (fact for fact in facts if isinstance(fact, RejectGuardChanged))
    assert (start.halted, start.setting) == (True, "RELAY_ENVELOPE")
    assert "not_json (the body is not JSON)" in start.reason
    assert (end.halted, end.seconds) == (False, 5.0)
    assert [fact.code for fact in facts if isinstance(fact, RejectHeld)] == ["not_json"] * 3


def test_a_short_halt_is_still_reported_for_a_while_after_its_end() -> None:
    now = [0.0]
    guard = RejectGuard(clock=lambda: now[0])
    reports = [guard.recent]
    flood(guard, MIN_REJECTS + 2)
    reports.append(guard.recent)
    now[0] = 3.0
    for n in range(MIN_REJECTS + 3):
        guard.passed(f"good{n}")
    for now[0] in (63.0, 3.0 + SHOWN_FOR + 1.0):
        reports.append(guard.recent)
    before, during, after, later = reports
    assert (before, during, later) == (None, None, None)
    assert after
    assert after.startswith("the reject guard halted for 3 s, until 60 s ago: 20 of the last")
    assert "not_json" in after


def test_a_message_that_sqs_would_move_itself_is_admitted() -> None:
    guard = RejectGuard(max_receives=10)
    flood(guard, 2 * MIN_REJECTS)
    assert guard.hold(message({}, "bad30", receive_count=9), BAD) is not None
    last = message({}, "bad30", receive_count=10)
    assert guard.hold_again(last) is None
    assert guard.hold(last, BAD) is None


def test_poison_among_many_good_messages_never_halts() -> None:
    guard = RejectGuard()
    for n in range(5 * WINDOW):
        guard.passed(f"good{n}")
        assert n % 3 or not held(guard, f"bad{n}")
    assert guard.suspicion is None


def test_a_code_that_is_usual_needs_more_to_halt() -> None:
    guard = RejectGuard()
    for n in range(20 * WINDOW):  # two in five are always bad here: the usual rate
        guard.passed(f"good{n}")
        assert not n % 3 or not held(guard, f"bad{n}")
    assert not flood(guard, WINDOW, "flood")
    assert guard.suspicion is None


def test_switched_off_it_admits_everything() -> None:
    guard = RejectGuard(enabled=False)
    assert not flood(guard, 2 * WINDOW)
    assert guard.suspicion is None


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_sudden_flood_after_good_days_is_halted(share: float) -> None:
    guard = RejectGuard()
    for n in range(5 * WINDOW):
        guard.passed(f"good{n}")
    admitted = 0
    for n in range(3 * WINDOW):
        if n % 10 < share * 10:
            guard.passed(f"still-good{n}")
        admitted += not held(guard, f"flood{n}")
    assert guard.suspicion is not None
    assert admitted <= WINDOW


def test_held_rejects_never_become_the_usual_rate() -> None:
    guard = RejectGuard()
    for n in range(5 * WINDOW):
        guard.passed(f"good{n}")
    flood(guard, 2 * HISTORY)  # a backlog that is received and released for days
    assert held(guard, "last")
    assert guard.suspicion is not None
