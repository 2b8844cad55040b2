"""The messages in flight: repeated deliveries join one task, and slow ones are noticed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from relay.forwarding.undelivered import Stuck, Undelivered
from relay.model.message import Message
from relay.model.outcome import Outcome, Retry

T = TypeVar("T")

LONG = 60.0
"""Seconds in flight after which a message that is given back has had its attempt."""


class InFlightItem(Protocol):
    """A message in flight: with a task, an `InFlightMessage`, or without one."""

    message: Message
    since: float

    def expire(self) -> None:
        """End its wait: the queue is about to delete the message."""
        ...

    def take_apart(self) -> None:
        """Go on in a task, if it has none."""
        ...


class InFlightMessage(Struct, eq=False):
    """One message in flight. `waiting` is True while its wait may be ended by `expire`."""

    message: Message
    since: float
    task: asyncio.Task[Any] | None = None
    waiters: int = 0
    waiting: bool = False
    expired: bool = False

    def expire(self) -> None:
        """End the wait, and all later ones: the queue is about to delete the message."""
        if self.task is not None and self.waiting and not self.expired:
            self.expired = True
            self.task.cancel()

    def take_apart(self) -> None:
        """It has a task."""

    async def unless_expired(self, wait: Awaitable[T]) -> T | None:
        """The result of `wait`, or None if the message expires first."""
        self.waiting = True
        try:
            return await wait
        except asyncio.CancelledError:
            # Another caller may have cancelled the task too, and meant all of it.
            if not self.expired or self.task is None or self.task.uncancel() > 0:
                raise
            return None
        finally:
            self.waiting = False


class InFlight:
    """Joins the deliveries of a message. Bounded by its callers: each waiter is a delivery."""

    def __init__(self) -> None:
        self._items: dict[str, InFlightItem] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[InFlightItem]:
        return iter(list(self._items.values()))

    def add(self, item: InFlightItem) -> None:
        """Add a message for which no task is made here. `join` takes apart what is without one."""
        self._items[item.message.message_id] = item

    def remove(self, item: InFlightItem) -> None:
        """Remove it, if it is here."""
        if self._items.get(item.message.message_id) is item:
            del self._items[item.message.message_id]

    def find(self, message_id: str) -> InFlightItem | None:
        """The message with this id, if it is in flight."""
        return self._items.get(message_id)

    @property
    def oldest(self) -> InFlightItem | None:
        """The message that has been in flight for the longest time."""
        return next(iter(self._items.values()), None)

    def get(self, message_id: str) -> Message | None:
        """The message in flight with this id, or None."""
        item = self._items.get(message_id)
        return None if item is None else item.message

    def join(
        self,
        message: Message,
        work: Callable[[InFlightMessage], Coroutine[Any, Any, Outcome]],
        now: float,
    ) -> asyncio.Future[Outcome]:
        """The outcome of the message, from the task that handles it already or from a new one.

        Cancelling the future only leaves. The task is cancelled when the last one has left, so that
        memory holds no message that nobody waits for. A request that has been sent is not
        cancelled.
        """
        key = message.message_id
        if (begun := self._items.get(key)) is not None:
            begun.take_apart()  # it joins itself
        item = self._items.get(key)
        if not isinstance(item, InFlightMessage):
            item = self._items[key] = InFlightMessage(message, now)
            item.task = asyncio.create_task(work(item), name=f"message {key}")
            item.task.add_done_callback(partial(self._task_done, item))
        assert item.task is not None  # noqa: S101 - set in the line above, for the type checker
        item.waiters += 1
        outcome = asyncio.shield(item.task)
        outcome.add_done_callback(partial(self._leave, item, item.task))
        return outcome

    async def run_exclusive(
        self,
        message: Message,
        work: Callable[[InFlightMessage], Coroutine[Any, Any, Outcome]],
        now: float,
    ) -> Outcome:
        """The outcome of the message, handled in the caller's task; no other delivery may join it.

        Cancelling the caller cancels the work. It needs no task and no wake-up of its own.
        """
        item = InFlightMessage(message, now, asyncio.current_task())
        self.add(item)
        try:
            return await work(item)
        finally:
            self.remove(item)

    def _leave(self, item: InFlightMessage, task: asyncio.Task[Outcome], _: object) -> None:
        item.waiters -= 1
        if item.waiters or task.done():
            return
        self.remove(item)  # a later delivery must not join what is being cancelled
        task.cancel()

    def _task_done(self, item: InFlightMessage, task: asyncio.Task[Outcome]) -> None:
        self.remove(item)
        item.task = None  # no cycle through a traceback: the collector runs rarely
        if not task.cancelled():
            task.exception()  # retrieved: there may be no waiter left to do it


class Progress:
    """Follows the outcomes of messages. The forwarder follows those of events itself.

    While every message is delivered, only `settled_at` is set. `note` is for other outcomes, and
    for all while there are `entries`.
    """

    def __init__(self, in_flight: InFlight, *, clock: Callable[[], float] = time.time) -> None:
        self._in_flight = in_flight
        self._clock = clock
        self._undelivered = Undelivered(what="a message", clock=clock)
        self.entries = self._undelivered.entries
        self._closed = True
        self.settled_at = 0.0
        self._oldest_delivered_at = 0.0

    def note(
        self, message: Message, outcome: Outcome, results: Sequence[Outcome], now: float
    ) -> None:
        """Note the outcome of a message and those of its events."""
        if not isinstance(outcome, Retry):
            self.settled_at = now
            self._undelivered.settled(message.message_id)
        elif not any(isinstance(result, Retry) for result in results):
            # No event has to wait: the message's payload or its dead letter is at fault.
            self._undelivered.failed(message.message_id, outcome.reason)

    def event_delivered(self, item: InFlightMessage) -> None:
        """Note that one of several events of a message was delivered: all may take minutes."""
        self.settled_at = self._clock()
        if item is self._in_flight.oldest:
            self._oldest_delivered_at = self.settled_at

    def interrupted(self, message: Message, error: BaseException, seconds: float) -> None:
        """Note that handling the message raised, or was cancelled after `seconds`.

        A message that is given back during an outage was held, and had no attempt.
        """
        if isinstance(error, Exception):
            reason = f"handling it raised {type(error).__name__}"
        elif self._closed and seconds >= LONG:
            reason = f"given back after {seconds:.0f} s in flight"
        else:
            return
        self._undelivered.failed(message.message_id, reason)

    def follow(self, *, closed: bool) -> None:
        """Follow the circuit: time counts only while it is closed and nothing is halted.

        Attempts before it closed prove nothing.
        """
        self._undelivered.follow(closed=closed)
        if closed and not self._closed:
            self._undelivered.restart()
        self._closed = closed

    def stuck(self, after: float, *, longest: float, since: float) -> Stuck | None:
        """Which message is not settled although nothing is known to be wrong, if any.

        `after` is in seconds: from the first failure of a message, or with one in flight and none
        settled. `longest` is how long a message may be in flight while others are settled. It does
        not apply while events of the oldest message are delivered: with a rate limit, those behind
        it wait for them. Time before `since` does not count.
        """
        oldest = self._in_flight.oldest
        if (found := self._undelivered.stuck(after)) is not None or oldest is None:
            return found
        now, start = self._clock(), max(oldest.since, since)
        if now - max(self.settled_at, start) < after and (
            now - start < longest or now - self._oldest_delivered_at < after
        ):
            return None
        return Stuck(
            f"a message has been in flight for {now - start:.0f} s although the circuit is closed"
            f" ({len(self._in_flight)} in flight)"
        )


@dataclass(frozen=True, slots=True)
class HandlerStatus:
    """How many messages are in flight, and what keeps some of them from being settled, if anything.

    `problem` is a sentence, `setting` the setting to check for it. `warning` is about messages that
    wait meanwhile and will be dead-lettered incompletely.
    """

    in_flight: int
    problem: str | None = None
    setting: str | None = None
    warning: str | None = None
