"""The line of messages in hand that wait for a slot: who may start next."""

from __future__ import annotations

from typing import Protocol

from relay.message import Outcome
from relay.poller.lease import Lease


class Line(Protocol):
    """The seam between the poller and an order of starting."""

    def admits(self, lease: Lease) -> bool:
        """Whether a message that has arrived may be added; if not, it must be hidden a while."""
        ...

    def add(self, lease: Lease) -> None:
        """A message has arrived."""
        ...

    def take(self) -> Lease | None:
        """The next that may start, None where none may."""
        ...

    def end(self, lease: Lease, outcome: Outcome | None) -> list[Lease]:
        """The handling of a started one ended; None where it was withdrawn.

        Returns those that must not start any more, in the order in which they are to be released,
        before anything else is done with `lease`.
        """
        ...

    def drop(self, lease: Lease) -> list[Lease]:
        """A waiting one is no longer ours. Returns the others that must be released for it."""
        ...

    def drain(self) -> list[Lease]:
        """Empty the line, in the order in which its leases are to be released."""
        ...
