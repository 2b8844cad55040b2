"""The interface to an orchestrator: one method, what fits into a call of it, and how it fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.model.event import Event
from relay.model.outcome import Outcome


class Unavailable(Exception):
    """The destination as a whole did not answer as a destination should.

    Args:
        reason: a sentence for a person, free of secrets.
        after: seconds the destination asked us to wait (`Retry-After`).
        setting: the setting to look at when the answer speaks of a misconfiguration; None when the
            destination is merely down. A misconfiguration halts, an outage opens the circuit.
        proven: the answer is unmistakably about the destination and no second witness is needed
            (a refused connection, Inngest's own 401). False where one event could be the cause.
        not_accepted: True where nothing of the request can have been accepted: no byte of it
            arrived, or the answer rules it out.
    """

    def __init__(
        self,
        reason: str,
        *,
        after: float | None = None,
        setting: str | None = None,
        proven: bool = False,
        not_accepted: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after
        self.setting = setting
        self.proven = proven
        self.not_accepted = not_accepted


class Refused(Exception):
    """The destination refused a request of several events because of one of them, or of their size.

    `suspect` is the position of the event that the answer points at, a hint and no evidence, or
    None. Those before it may have been stored, and any where it is None; none with `not_accepted`.
    Raised for requests of two events or more only: one alone that can never pass is a `Reject`, and
    one that is refused for a reason nobody knows is `Unavailable` and not `proven`.
    """

    def __init__(
        self, reason: str, *, suspect: int | None = None, not_accepted: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.suspect = suspect
        self.not_accepted = not_accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request to a destination may hold, and how many may be under way at once.

    A larger event goes alone. Two requests keep a destination busy that answers in milliseconds:
    one is answered while the next is on its way.
    """

    max_events: int = 100
    max_bytes: int = 1_048_576
    in_flight: int = 2


class Destination(Protocol):
    """The seam to an orchestrator: one method, and what fits into a call of it."""

    @property
    def limits(self) -> Limits:
        """What `send` takes at once."""
        ...

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Send all events in one attempt; the outcomes have the same length and order.

        Cancelling it leaves the end of the attempt unknown.

        Raises:
            Unavailable: nothing is known to be accepted; any event may be, unless `not_accepted`.
            Refused: the request failed for one of its several events.
        """
        ...
