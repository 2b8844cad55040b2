"""The limits of messages and bytes in flight."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.sources.poller.receiver import Capacity

steps = st.one_of(
    st.tuples(st.just("reserve"), st.integers(1, 10)),
    st.tuples(st.just("receive"), st.lists(st.integers(0, 100), max_size=10)),
    st.tuples(st.just("release"), st.integers(0, 50)),
)


@given(st.integers(1, 600), st.integers(100, 5_000), st.lists(steps, max_size=60))
def test_the_limits_hold_for_any_sequence_of_operations(
    count: int, size: int, script: list[tuple[str, object]]
) -> None:
    capacity = Capacity(count, size, largest=100)
    open_receives: list[int] = []
    held: list[int] = []
    for what, argument in script:
        if what == "reserve" and (reserved := capacity.reserve(int(str(argument)))):
            open_receives.append(reserved)
        elif what == "receive" and open_receives:
            reserved = open_receives.pop()
            sizes = list(argument)[:reserved]  # type: ignore[call-overload]  # as drawn
            capacity.correct(reserved, sizes)
            held += sizes
        elif what == "release" and held:
            capacity.release(held.pop())
        assert capacity.reserved == sum(open_receives) + len(held) <= count
        assert sum(held) + 100 * sum(open_receives) <= max(size, 100)


def test_one_message_is_always_allowed() -> None:
    capacity = Capacity(5, size=10, largest=100)
    assert capacity.reserve(10) == 1
    assert capacity.reserve(10) == 0


def test_a_receive_waits_for_some_free_capacity_but_not_for_much() -> None:
    capacity = Capacity(500, size=10**9, largest=1)
    reserved = [capacity.reserve(10) for _ in range(50)]
    assert sum(reserved) == 500
    capacity.release(1)
    assert capacity.reserve(10) == 0
    for _ in range(9):
        capacity.release(1)
    assert capacity.reserve(10) == 10
    small = Capacity(20, size=10**9, largest=1)
    assert small.reserve(10) + small.reserve(10) == 20
    small.release(1)
    assert small.reserve(10) == 1
