"""The fast path: a message of one event that is delivered at the first attempt, without a task.

Nearly all messages take it from start to end: their events wait in the forwarder's batch, and the
end of its request concludes one message after another. Whatever else happens to a message (no
success, its expiry, a withdrawal, a second delivery) takes it off the path, and no other: what is
left to do runs in a task of its own, in the same code as for messages that never were on the path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from relay.delivery.in_flight import InFlight
from relay.envelope import Decoded
from relay.model.destination import Attempt, Forward
from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome

PendingOutcome: TypeAlias = Coroutine[Any, Any, Outcome] | asyncio.Future[Outcome]
"""The outcome of a message that is not on the path, to be awaited."""

Rest: TypeAlias = Callable[[], PendingOutcome]
"""What is left to do for a message's outcome. A coroutine runs in a task of its own."""


class Caller(Protocol):
    """Who began to handle a message. Gets its outcome, or the rest of the work, once."""

    def finished(self, outcome: Outcome) -> None:
        """The message has its outcome."""
        ...

    def proceed(self, rest: Rest) -> None:
        """Run the rest in a task; its result is the outcome."""
        ...


class FastDelivery(Struct, eq=False):
    """A message on the fast path; the listener of its event's first attempt."""

    message: Message
    since: float
    decoded: Decoded
    caller: Caller
    path: FastPath
    attempt: Attempt | None = None
    expired: bool = False

    def delivered(self, outcome: Delivered) -> None:
        """The attempt was a success, which is the end of the path."""
        self.attempt = None  # no cycle: the collector runs rarely
        try:
            self.path.conclude(self, outcome)
        except Exception as error:  # noqa: BLE001 - an error concerns this message only
            self.caller.proceed(partial(raising, error))
        else:
            self.caller.finished(outcome)

    def undelivered(self) -> None:
        """The attempt was no success."""
        self.caller.proceed(partial(self.path.proceed, self))

    def take_apart(self) -> None:
        """Go on in a task, which may be cancelled. The attempt goes on, too."""
        if self.attempt is not None and self.attempt.detach():
            self.undelivered()

    def abandon(self) -> None:
        """Withdraw the event, unless it is on the wire: nobody settles the message any more."""
        if self.attempt is not None and self.attempt.detach():
            self.attempt.withdraw()
            self.path.forget(self)

    def expire(self) -> None:
        """End the wait: the queue is about to delete the message."""
        self.expired = True
        self.take_apart()


class FastPath:
    """Begins and concludes what is on the fast path.

    Args:
        forward: where events go.
        in_flight: the messages in flight.
        conclude: called for a delivered message: all that follows from it for the handler.
        proceed: what is left to do for a message that was taken off the path.
    """

    def __init__(
        self,
        forward: Forward,
        in_flight: InFlight,
        conclude: Callable[[Message, Delivered, float, Decoded], None],
        proceed: Callable[[FastDelivery], PendingOutcome],
    ) -> None:
        self._begin = forward.begin
        self._in_flight = in_flight
        self._conclude = conclude
        self.proceed = proceed

    def begin(
        self, message: Message, decoded: Decoded, caller: Caller, now: float
    ) -> FastDelivery | None:
        """Begin to deliver the message's only event; None if it has to be submitted."""
        delivery = FastDelivery(message, now, decoded, caller, self)
        delivery.attempt = self._begin(decoded.events[0], delivery)
        if delivery.attempt is None:
            return None
        self._in_flight.add(delivery)
        return delivery

    def forget(self, delivery: FastDelivery) -> None:
        """The message is not in flight any more."""
        self._in_flight.remove(delivery)

    def conclude(self, delivery: FastDelivery, outcome: Delivered) -> None:
        """The message was delivered."""
        self._in_flight.remove(delivery)
        self._conclude(delivery.message, outcome, delivery.since, delivery.decoded)


Begin: TypeAlias = Callable[[Message, Caller], FastDelivery | Rest]
"""Begins to handle a message: it is on the fast path, or the rest is to be run in a task."""


async def raising(error: BaseException) -> Outcome:
    """The rest of a message whose handling has raised: raises the error."""
    raise error
