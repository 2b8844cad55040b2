"""The interface to an orchestrator: one method, its limits and its exceptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, shortened


class Unavailable(Exception):
    """The destination as a whole gave no usable answer.

    Args:
        reason: a sentence for a person, free of secrets; shortened if it is long.
        after: seconds to wait, as requested by the destination (`Retry-After`).
        setting: the setting to check if the answer points at a misconfiguration; None if the
            destination is down. A misconfiguration halts the relay, an outage opens the circuit.
        proven: the answer is certainly about the destination, so that no second event has to fail
            too (a refused connection, Inngest's own 401). False if one event could be the cause.
        not_accepted: True if nothing of the request can have been accepted: no byte of it arrived,
            or the answer rules it out.
        disconnected: True if there was no connection (a proxy's to the server included), or it
            broke: the server may be restarting.
        environment: the events' environment if that alone may be the cause, such as a branch that
            does not exist; None if it cannot be. It is not `proven` then.
    """

    def __init__(
        self,
        reason: str,
        *,
        after: float | None = None,
        setting: str | None = None,
        proven: bool = False,
        not_accepted: bool = False,
        disconnected: bool = False,
        environment: str | None = None,
    ) -> None:
        self.reason = shortened(reason)
        super().__init__(self.reason)
        self.after = after
        self.setting = setting
        self.proven = proven
        self.not_accepted = not_accepted
        self.disconnected = disconnected
        self.environment = environment


class BatchRefused(Exception):
    """The destination refused a request of several events because of one of them or of their size.

    `suspect` is the position of the event that the answer points at, or None. It is a hint, not
    evidence. The events before it may have been stored, and any of them if it is None; none were
    if `not_accepted`. Raised for two or more events only: a single event that can never succeed is
    a `Reject`, and a single event refused for an unknown reason is `Unavailable` without `proven`.
    """

    def __init__(
        self, reason: str, *, suspect: int | None = None, not_accepted: bool = False
    ) -> None:
        self.reason = shortened(reason)
        super().__init__(self.reason)
        self.suspect = suspect
        self.not_accepted = not_accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The size limits of one request to a destination, and how many may be in flight at once.

    A larger event is sent alone. Two requests keep a destination busy that answers in milliseconds:
    one is answered while the next is being sent.
    """

    max_events: int = 100
    max_bytes: int = 1_048_576
    in_flight: int = 2


class Destination(Protocol):
    """An orchestrator that events are sent to."""

    @property
    def limits(self) -> Limits:
        """The limits of one call of `send`."""
        ...

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Send all events in one attempt. The outcomes are in the order of the events.

        After a cancellation any of the events may have been accepted.

        Raises:
            Unavailable: no event is known to be accepted. Any may be, unless `not_accepted`.
            BatchRefused: the request failed because of one of its events, or of their size.
        """
        ...


class Listener(Protocol):
    """Is told how the first attempt of an event ended, by one of the two calls."""

    def delivered(self, outcome: Delivered) -> None:
        """The destination accepted the event."""
        ...

    def undelivered(self) -> None:
        """It ended in any other way: the rest is in the attempt's `outcome`."""
        ...


class Attempt(Protocol):
    """The first attempt of an event, for which no task waits."""

    def detach(self) -> bool:
        """Call the listener no more: a task will await `outcome`. False if it has been called."""
        ...

    def withdraw(self) -> None:
        """Withdraw the event, unless it is on the wire, instead of awaiting `outcome`."""
        ...

    async def outcome(self) -> Outcome:
        """The event's outcome, as of `Forward.submit`. Await it once, after the end or `detach`."""
        ...


class Forward(Protocol):
    """Forwards events to their destination."""

    def begin(self, event: Event, listener: Listener) -> Attempt | None:
        """Begin the first attempt, at the end of which the listener is called, but not at once.

        None if the event has to be submitted.
        """
        ...

    async def submit(self, event: Event) -> Outcome:
        """The event's outcome, after as many attempts as it takes. Cancelling withdraws it."""
        ...

    def may_have_run(self, event_id: str) -> bool:
        """Whether the destination may have the event although no success was seen."""
        ...

    @property
    def down_for(self) -> float:
        """Seconds for which it has been unavailable; 0 if it can take an event, as a probe too."""
        ...

    @property
    def down(self) -> bool:
        """Whether it is unavailable, also while it can take an event as a probe."""
        ...
