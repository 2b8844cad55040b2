"""A queue: its messages, their visibility timeouts, delays and retention."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable

from relay.local.clock import Clock
from relay.local.sqs.attributes import QueueAttributes
from relay.local.sqs.errors import SqsError, no_queue
from relay.local.sqs.fifo import Attempts, Deduplication
from relay.local.sqs.order import DeliveryOrder, FifoOrder, Schedule, StandardOrder, Waiters
from relay.local.sqs.stored import Stored

IN_FLIGHT_LIMIT = 120_000
_FIRST_SEQUENCE = 18_888_888_888_888_888_888  # sequence numbers have twenty digits


class Queue:
    """A standard or FIFO queue. Synchronous, for one thread; `waiters` are its long polls.

    Each copy of a message is visible, delayed or in flight; `messages` lists all of them without
    receiving any. `find` looks up another queue by ARN, for the redrive policy.
    """

    def __init__(
        self,
        name: str,
        arn: str,
        attributes: QueueAttributes,
        *,
        clock: Clock,
        find: Callable[[str], Queue | None],
        in_flight_limit: int = IN_FLIGHT_LIMIT,
    ) -> None:
        self.name, self.arn, self.attributes = name, arn, attributes
        self.tags: dict[str, str] = {}
        self.created_at = self.modified_at = clock.time()
        self.purged_at: float | None = None
        self.deleted = False
        self.waiters, self.attempts = Waiters(), Attempts()
        self._clock, self._find, self._limit = clock, find, in_flight_limit
        self._serials = itertools.count(1)
        self._messages: dict[int, Stored] = {}
        self._visible: DeliveryOrder = (
            FifoOrder() if self.fifo else StandardOrder(lambda: next(self._serials))
        )
        self._delayed: Schedule[Stored] = Schedule()
        self._in_flight: Schedule[Stored] = Schedule()
        self._ages: Schedule[Stored] = Schedule()
        self._due = 0.0  # until this time nothing changes by itself, and `tick` does nothing
        # The scope that the queue was created with: a later change has no effect on AWS.
        self._sent = Deduplication(by_group=attributes.dedup_by_group)

    @property
    def fifo(self) -> bool:
        """Whether it is a FIFO queue: it keeps the order within groups and deduplicates sends."""
        return self.attributes.fifo

    def messages(self) -> tuple[Stored, ...]:
        """All messages in order of arrival: visible, delayed and in flight."""
        self.tick()
        return tuple(self._messages.values())

    def counts(self) -> tuple[int, int, int]:
        """The number of messages visible, in flight and delayed."""
        self.tick()
        return len(self._visible), len(self._in_flight), len(self._delayed)

    def next_change(self) -> float:
        """When the next message becomes visible by itself; infinite if none will."""
        times = (self._delayed.first(), self._in_flight.first())
        return min((t for t in times if t is not None), default=float("inf"))

    def copy(self, serial: int) -> Stored | None:
        """The copy with this number, if it is still in the queue."""
        self.tick()
        return self._messages.get(serial)

    def add(self, stored: Stored, delay: float | None = None) -> bool:
        """Add a new message, after `delay` seconds (by default the queue's).

        False if a FIFO queue dropped it as a duplicate: then it is given the id and sequence number
        of the first, as in SQS's response.
        """
        now = self.tick()
        if self.fifo and (earlier := self._sent.earlier(stored, now)) is not None:
            stored.message_id, stored.sequence_number = earlier
            return False
        self._arrive(stored, now + (self.attributes.delay if delay is None else delay))
        if self.fifo:
            self._sent.remember(stored, now)
        return True

    def add_dead(self, stored: Stored, source_arn: str) -> None:
        """Add a message that a redrive policy moved here.

        A standard queue keeps the sent time, and with it the age. A FIFO queue resets the sent time
        and replaces the deduplication id with the MessageId.
        """
        now = self.tick()
        if self.fifo:
            stored.sent_at, stored.dedup_id = now, stored.message_id
        stored.dead_letter_source = source_arn
        self._arrive(stored, now)

    def take(self, count: int, visibility: float) -> list[Stored]:
        """Receive up to `count` visible messages for `visibility` seconds.

        A message that was received as often as the redrive policy allows is moved instead: SQS
        moves it at the receive that would be one too many.

        Raises:
            SqsError: OverLimit, for a standard queue with too many messages in flight. A FIFO queue
                returns none instead.
        """
        now = self.tick()
        if self.deleted:
            raise no_queue()
        capacity = self._limit - len(self._in_flight)
        if capacity <= 0 and not self.fifo:
            raise SqsError("OverLimit", f"Too many messages in flight: {self._limit}.")
        taken = self._visible.take(
            min(count, max(capacity, 0)), lambda stored: self._lease(stored, now, visibility)
        )
        if taken and len(self._visible):
            self.waiters.wake()
        return taken

    def hold(self, stored: Stored, until: float) -> None:
        """Hide a message until this time; a past time makes it visible."""
        self._enter(stored, until)
        self.tick()

    def expire(self, stored: Stored) -> None:
        """End a message's visibility timeout now."""
        self.hold(stored, self._clock.time())

    def duplicate(self, stored: Stored) -> None:
        """Make a second copy of a message visible, as a standard queue occasionally does."""
        self._arrive(dataclasses.replace(stored), self._clock.time())

    def forget(self, stored: Stored) -> None:
        """Delete a message."""
        del self._messages[stored.serial]
        self._ages.remove(stored)
        self._delayed.remove(stored)
        self._visible.remove(stored)
        if stored in self._in_flight:
            self._in_flight.remove(stored)
            self._release(stored)

    def withdraw(self) -> Stored | None:
        """Remove the first visible message without counting a receive: for move tasks."""
        self.tick()
        for stored in self._visible.take(1, lambda _: True):
            self._visible.release(stored)
            self.forget(stored)
            return stored
        return None

    def restore(self, stored: Stored) -> None:
        """Put a withdrawn message back at its position."""
        self._messages[stored.serial] = stored
        self._ages.put(stored, stored.sent_at)
        self._due = 0.0
        self._show(stored)

    def clear(self) -> None:
        """Delete all messages and forget their deduplication ids."""
        self._sent.clear()
        for stored in tuple(self._messages.values()):
            self.forget(stored)

    def close(self) -> None:
        """Delete the queue. Waiting long polls fail with QueueDoesNotExist."""
        self.deleted = True
        self.clear()
        self.waiters.wake_all()

    def tick(self) -> float:
        """Apply retention, and ends of delays and visibility timeouts. Returns the time."""
        now = self._clock.time()
        if now < self._due:
            return now
        while (stored := self._ages.pop(now - self.attributes.retention)) is not None:
            self.forget(stored)
        while (stored := self._delayed.pop(now)) is not None:
            self._show(stored)
        while (stored := self._in_flight.pop(now)) is not None:
            self._show(stored)
            self._release(stored)
        oldest = self._ages.first()
        expiry = float("inf") if oldest is None else oldest + self.attributes.retention
        self._due = min(self.next_change(), expiry)
        return now

    def configured(self) -> None:
        """The attributes have changed."""
        self.modified_at = self._clock.time()
        self._due = 0.0

    def _arrive(self, stored: Stored, visible_at: float) -> None:
        stored.serial = stored.position = next(self._serials)
        if self.fifo:
            stored.sequence_number = str(_FIRST_SEQUENCE + stored.serial)
        self._messages[stored.serial] = stored
        self._ages.put(stored, stored.sent_at)
        self._due = min(self._due, stored.sent_at + self.attributes.retention)
        if visible_at > self._clock.time():
            stored.state, stored.visible_at = "delayed", visible_at
            self._delayed.put(stored, visible_at)
            self._due = min(self._due, visible_at)
            self.waiters.wake_all()
        else:
            self._show(stored)

    def _show(self, stored: Stored) -> None:
        stored.state = "visible"
        self._visible.put(stored)
        self.waiters.wake()

    def _release(self, stored: Stored) -> None:
        self._visible.release(stored)
        if self.fifo:
            self.waiters.wake()

    def _lease(self, stored: Stored, now: float, visibility: float) -> bool:
        redrive = self.attributes.redrive
        if redrive is not None and stored.receive_count >= redrive.max_receive_count:
            dead_letters = self._find(redrive.target)
            if dead_letters is not None and dead_letters is not self:
                self.forget(stored)
                dead_letters.add_dead(stored, self.arn)
                return False
        stored.receive_count += 1
        stored.receipt += 1
        stored.received_at = now
        stored.first_received_at = stored.first_received_at or now
        self._enter(stored, now + visibility)
        return True

    def _enter(self, stored: Stored, until: float) -> None:
        if len(self.waiters) and until < self.next_change():
            self.waiters.wake_all()  # they sleep until the next change, which is now earlier
        stored.state, stored.visible_at = "in_flight", until
        self._in_flight.put(stored, until)
        self._due = min(self._due, until)
