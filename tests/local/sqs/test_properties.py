"""Properties of the queue for any sequence of operations."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.local.clock import ManualClock
from relay.local.sqs import Queue, leases
from relay.local.sqs.attributes import QueueAttributes
from relay.local.sqs.order import Schedule
from relay.local.sqs.parameters import Draft
from relay.local.sqs.stored import Stored
from relay.local.sqs.validation import accept

GROUPS = "ab"
VISIBILITY = 10.0
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from(GROUPS)),
        st.tuples(st.just("receive"), st.integers(1, 10)),
        st.tuples(st.sampled_from(["delete", "release"]), st.integers(0, 5)),
        st.tuples(st.just("advance"), st.sampled_from([1.0, VISIBILITY])),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 20) | st.none()), max_size=300))
def test_a_schedule_is_a_sorted_mapping(changes: list[tuple[int, int | None]]) -> None:
    schedule: Schedule[int] = Schedule()
    model: dict[int, int] = {}
    for member, at in changes:
        if at is None:
            schedule.remove(member)
            model.pop(member, None)
        else:
            schedule.put(member, at)
            model[member] = at
        assert schedule.first() == min(model.values(), default=None)
        assert len(schedule) == len(model)
    popped = [schedule.pop() for _ in range(len(model))]
    assert [model[member] for member in popped if member is not None] == sorted(model.values())
    assert schedule.pop() is None


class Consumer:
    """Performs the steps and checks the invariants."""

    def __init__(self, *, fifo: bool) -> None:
        self.clock = ManualClock()
        attributes = QueueAttributes(fifo=fifo)
        self.queue = Queue("q", "arn", attributes, clock=self.clock, find=lambda _: None)
        self.sent: dict[str, str] = {}
        self.deleted: list[str] = []
        self.held: list[tuple[str, Stored]] = []

    def send(self, group: str) -> None:
        fifo = self.queue.fifo
        draft = Draft(
            message_body="x",
            message_group_id=group,
            message_deduplication_id=f"{len(self.sent)}" if fifo else None,
        )
        stored = accept(draft, self.queue.attributes, self.clock.time())
        self.queue.add(stored)
        self.sent[stored.message_id] = group

    def receive(self, count: int) -> None:
        taken = self.queue.take(count, VISIBILITY)
        assert len(taken) <= count
        if self.queue.fifo:
            self._check_order(taken, whole=len(taken) < count)
        self.held += [(leases.handle_of(self.queue, stored), stored) for stored in taken]

    def delete(self, index: int) -> None:
        if index < len(self.held):
            handle, stored = self.held.pop(index)
            if self._may_use(handle, stored):
                leases.delete(self.queue, handle)
                self.deleted.append(stored.message_id)

    def release(self, index: int) -> None:
        if index < len(self.held):
            handle, stored = self.held[index]
            if self._may_use(handle, stored):
                leases.change_visibility(self.queue, handle, 0)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def _may_use(self, handle: str, stored: Stored) -> bool:
        """A standard queue takes any handle of a message that it has, a FIFO queue a valid one."""
        if self.queue.fifo:
            return leases.held(self.queue, handle) is not None
        return self.queue.copy(stored.serial) is not None

    def _check_order(self, taken: list[Stored], *, whole: bool) -> None:
        """What was taken of a group was its oldest, and all of it where `whole`."""
        in_flight = {s.message_id for s in self.queue.messages() if s.state == "in_flight"}
        for group in GROUPS:
            left = [i for i, g in self.sent.items() if g == group and i not in self.deleted]
            mine = [stored.message_id for stored in taken if stored.group_id == group]
            assert mine == left[: len(mine)]
            assert not left or not whole or left[0] in in_flight

    def check(self) -> None:
        queued = [stored.message_id for stored in self.queue.messages()]
        assert sorted([*queued, *self.deleted]) == sorted(self.sent)
        assert sum(self.queue.counts()) == len(queued)


def _run(steps: list[tuple[str, int | str | float]], *, fifo: bool) -> None:
    consumer = Consumer(fifo=fifo)
    for action, argument in steps:
        getattr(consumer, action)(argument)
        consumer.check()
    consumer.advance(VISIBILITY)
    while taken := consumer.queue.take(10, VISIBILITY):
        for stored in taken:
            consumer.queue.forget(stored)
            consumer.deleted.append(stored.message_id)
    assert sorted(consumer.deleted) == sorted(consumer.sent)


@settings(deadline=None)
@given(STEPS)
def test_a_standard_queue_loses_nothing(steps: list[tuple[str, int | str | float]]) -> None:
    _run(steps, fifo=False)


@settings(deadline=None)
@given(STEPS)
def test_a_fifo_queue_loses_nothing_and_keeps_order(
    steps: list[tuple[str, int | str | float]],
) -> None:
    _run(steps, fifo=True)
