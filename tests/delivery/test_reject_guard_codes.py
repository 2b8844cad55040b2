"""The reject guard and floods with several codes: their combined share counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from relay.delivery.reject_guard import HISTORY, MIN_REJECTS, WINDOW, RejectGuard
from relay.model.outcome import Reject
from tests.delivery.handler_rig import message

CODES = tuple(Reject(code, f"why {code}") for code in ("not_json", "no_name", "bad_s3", "bad_sns"))


def admits(guard: RejectGuard, message_id: str, reject: Reject) -> bool:
    return guard.hold(message({}, message_id), reject) is None


def admitted(guard: RejectGuard, count: int, reject_of: Callable[[int], Reject]) -> int:
    """How many of so many rejects are admitted."""
    rejects = [reject_of(n) for n in range(count)]
    return sum(admits(guard, f"{reject.code}-{n}", reject) for n, reject in enumerate(rejects))


@pytest.mark.parametrize("kinds", [2, 3, 4])
def test_alternating_codes_are_held_like_one(kinds: int) -> None:
    guard = RejectGuard()
    assert admitted(guard, WINDOW, lambda n: CODES[n % kinds]) < MIN_REJECTS
    assert guard.suspicion is not None
    assert set(guard.suspicion.codes) == {reject.code for reject in CODES[:kinds]}


def test_a_flood_of_several_codes_after_good_days_is_held() -> None:
    guard = RejectGuard()
    for n in range(5 * WINDOW):
        guard.passed(f"good{n}")
    assert admitted(guard, 3 * WINDOW, lambda n: CODES[n % 2]) <= WINDOW


def test_another_code_that_becomes_common_meanwhile_is_held_too() -> None:
    guard = RejectGuard()
    admitted(guard, 2 * MIN_REJECTS, lambda _: CODES[0])
    few = admitted(guard, MIN_REJECTS, lambda _: CODES[1])
    assert 0 < few < MIN_REJECTS / 2
    assert guard.suspicion is not None
    assert "not_json and no_name" in str(guard.suspicion)


def test_all_codes_are_admitted_together() -> None:
    guard = RejectGuard()
    assert admitted(guard, 2 * MIN_REJECTS, lambda n: CODES[n % 2]) < MIN_REJECTS
    for n in range(2 * MIN_REJECTS):
        guard.passed(f"good{n}")
    assert admitted(guard, 2 * MIN_REJECTS, lambda n: CODES[n % 2]) == 2 * MIN_REJECTS
    assert guard.suspicion is None


def test_poison_of_many_kinds_that_stays_the_minority_never_halts() -> None:
    guard = RejectGuard()
    for n in range(5 * WINDOW):
        guard.passed(f"good{n}")
        assert not n % 3 or admits(guard, f"bad{n}", CODES[n % 4])
    assert guard.suspicion is None


def test_a_code_at_its_usual_rate_does_not_count_as_a_flood() -> None:
    guard = RejectGuard()
    for n in range(3 * HISTORY):  # a third is always bad here
        guard.passed(f"good{n}")
        assert not n % 2 or admits(guard, f"bad{n}", CODES[0])
    for n in range(2 * WINDOW):  # and some of them have another fault
        guard.passed(f"still-good{n}")
        assert admits(guard, f"new{n}", CODES[1] if n % 4 == 0 else CODES[0])
    assert guard.suspicion is None
