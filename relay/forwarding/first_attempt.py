"""The first attempt of an event that no task waits for: most events need no more than that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from msgspec import Struct

from relay.forwarding.batcher import Entry
from relay.forwarding.lanes import PendingEvent, Step
from relay.model.destination import Listener
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome


class Forwarding(Struct, frozen=True):
    """What attempts need of their forwarder.

    Attributes:
        accepted: called for an event that was delivered and whose listener is told so next.
        withdraw: withdraws an event, unless it is on the wire.
        leave: counts one event less in flight.
        finish: the outcome of an event whose attempt is detached.
    """

    accepted: Callable[[Event], None]
    withdraw: Callable[[Entry[PendingEvent, Step]], None]
    leave: Callable[[], None]
    finish: Callable[[FirstAttempt], Awaitable[Outcome]]


class FirstAttempt(Struct, eq=False):
    """Gets the event's result from the batcher, as a future would, and tells the listener.

    Once it is `detached`, the listener is not called any more: a task awaits the `outcome`.
    """

    event: Event
    listener: Listener
    forwarding: Forwarding
    entry: Entry[PendingEvent, Step] | None = None
    detached: bool = False
    step: Step | None = None
    error: BaseException | None = None

    def done(self) -> bool:
        """Whether it has ended."""
        return self.step is not None or self.error is not None

    def set_result(self, step: Step) -> None:
        """It has ended, and this follows for the event."""
        self.step, self.entry = step, None  # no cycle: the collector runs rarely
        if self.detached:
            return
        self.detached = True
        if type(step) is Delivered:
            self.forwarding.accepted(self.event)
            self.listener.delivered(step)
        else:
            self.listener.undelivered()

    def set_exception(self, exception: BaseException) -> None:
        """The request raised, and so will `outcome`."""
        self.error, self.entry = exception, None
        if self.detach():
            self.listener.undelivered()

    def cancel(self) -> None:
        """The request was cancelled."""
        if not self.done():
            self.set_exception(asyncio.CancelledError())

    def detach(self) -> bool:
        """Call the listener no more; False if it has been called, or this was called before."""
        before, self.detached = self.detached, True
        return not before

    def withdraw(self) -> None:
        """Withdraw the event, unless it is on the wire, instead of awaiting `outcome`."""
        if self.entry is not None:
            self.forwarding.withdraw(self.entry)
        self.forwarding.leave()

    async def outcome(self) -> Outcome:
        """The event's outcome, after as many attempts as that takes."""
        return await self.forwarding.finish(self)

    async def wait(self) -> Step:
        """What follows for the event after this attempt. Cancelling it withdraws the event."""
        if self.error is not None:
            raise self.error
        if self.step is not None:
            return self.step
        assert self.entry is not None  # noqa: S101 - set by who began the attempt
        result: asyncio.Future[Step] = asyncio.get_running_loop().create_future()
        self.entry.result = result
        try:
            return await result
        except asyncio.CancelledError:
            self.forwarding.withdraw(self.entry)
            raise
