"""How long held messages are hidden, which of them are tried again, and that memory is bounded."""

from __future__ import annotations

from relay.delivery.held_rejects import (
    FIRST_HIDE,
    LONGEST_HIDE,
    MANY,
    PROBE_EVERY,
    REMEMBERED,
    SCARCE_HIDE,
    HeldRejects,
)
from tests.delivery.handler_rig import message


def rejects(now: float = 1_000.0, max_receives: int = 1_000) -> tuple[HeldRejects, list[float]]:
    """Without jitter, and with a clock that the test sets."""
    clock = [now]
    held = HeldRejects(
        max_receives=max_receives, clock=lambda: clock[0], uniform=lambda _least, most: most
    )
    return held, clock


def test_a_message_is_hidden_for_longer_each_time_up_to_an_hour() -> None:
    held, _ = rejects()
    hides = [held.hold(message({}), "bad") for _ in range(6)]
    assert hides == [FIRST_HIDE, 600.0, 1_200.0, 2_400.0, LONGEST_HIDE, LONGEST_HIDE]


def test_messages_held_at_the_same_time_do_not_return_at_the_same_time() -> None:
    held = HeldRejects()
    hides = {held.hold(message({}, f"m-{n}"), "bad") for n in range(20)}
    assert len(hides) > 1
    assert all(FIRST_HIDE / 2 <= one <= FIRST_HIDE for one in hides)


def test_with_many_held_messages_all_are_hidden_for_minutes_only() -> None:
    held, _ = rejects()
    for n in range(MANY):
        held.hold(message({}, f"m-{n}"), "bad")
    held.hold(message({}, "one more"), "bad")
    assert held.hold(message({}, "one more"), "bad") == FIRST_HIDE
    held.release()
    held.hold(message({}, "later"), "bad")
    assert held.hold(message({}, "later"), "bad") == 2 * FIRST_HIDE


def test_a_message_with_few_receives_left_is_hidden_for_as_long_as_possible() -> None:
    held, _ = rejects(max_receives=5)
    assert held.hold(message({}, receive_count=2), "bad") == FIRST_HIDE
    assert held.hold(message({}, receive_count=3), "bad") == SCARCE_HIDE


def test_one_message_a_minute_is_tried_again() -> None:
    held, clock = rejects()
    for n in range(5):
        held.hold(message({}, f"m-{n}"), "bad")
    returned = [held.hold_again(message({}, f"m-{n}")) for n in range(5)]
    assert [one is None for one in returned] == [True, False, False, False, False]
    clock[0] += PROBE_EVERY
    assert held.hold_again(message({}, "m-1")) is None
    assert held.hold_again(message({}, "m-2")) is not None


def test_each_is_tried_once_after_one_of_them_was_not_rejected() -> None:
    held, _ = rejects()
    for n in range(5):
        held.hold(message({}, f"m-{n}"), "bad")
    held.hold_again(message({}, "m-0"))
    held.passed("m-0")
    assert held.code("m-0") is None
    for n in range(1, 5):
        assert held.hold_again(message({}, f"m-{n}")) is None
        held.hold(message({}, f"m-{n}"), "bad")
        assert held.hold_again(message({}, f"m-{n}")) is not None


def test_a_message_that_was_never_held_changes_nothing() -> None:
    held, _ = rejects()
    held.hold(message({}, "m-0"), "bad")
    held.hold_again(message({}, "m-0"))
    held.passed("another")
    assert held.hold_again(message({}, "m-0")) is not None


def test_the_oldest_are_forgotten() -> None:
    held, _ = rejects()
    for n in range(REMEMBERED + 1):
        held.hold(message({}, f"m-{n}"), "bad")
    assert held.code("m-0") is None
    assert held.code("m-1") == "bad"
