"""Room in hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.sources.poller.receiver import Room

steps = st.one_of(
    st.tuples(st.just("take"), st.integers(1, 10)),
    st.tuples(st.just("come"), st.lists(st.integers(0, 100), max_size=10)),
    st.tuples(st.just("give"), st.integers(0, 50)),
)


@given(st.integers(1, 600), st.integers(100, 5_000), st.lists(steps, max_size=60))
def test_the_bounds_hold_for_any_course_of_things(
    count: int, size: int, script: list[tuple[str, object]]
) -> None:
    room = Room(count, size, largest=100)
    asked: list[int] = []
    held: list[int] = []
    for what, argument in script:
        if what == "take" and (places := room.take(int(str(argument)))):
            asked.append(places)
        elif what == "come" and asked:
            places = asked.pop()
            sizes = list(argument)[:places]  # type: ignore[call-overload]  # as drawn
            room.correct(places, sizes)
            held += sizes
        elif what == "give" and held:
            room.give(held.pop())
        assert room.taken == sum(asked) + len(held) <= count
        assert sum(held) + 100 * sum(asked) <= max(size, 100)


def test_one_message_is_let_in_however_small_the_room() -> None:
    room = Room(5, size=10, largest=100)
    assert room.take(10) == 1
    assert room.take(10) == 0


def test_a_few_places_are_awaited_but_never_many() -> None:
    room = Room(500, size=10**9, largest=1)
    taken = [room.take(10) for _ in range(50)]
    assert sum(taken) == 500
    room.give(1)
    assert room.take(10) == 0
    for _ in range(9):
        room.give(1)
    assert room.take(10) == 10
    small = Room(20, size=10**9, largest=1)
    assert small.take(10) + small.take(10) == 20
    small.give(1)
    assert small.take(10) == 1
