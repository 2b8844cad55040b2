"""FIFO queues: one message of a group at a time, groups in parallel, and the order kept."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Protocol

from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject
from relay.sources.poller.lease import Lease


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


class FairLine:
    """A free slot goes to the tenant with the fewest started, first come first served among equals.

    The tenant is the message's group id; messages without one are one tenant together.
    """

    def __init__(self) -> None:
        self._waiting: dict[str | None, deque[Lease]] = {}
        self._started: dict[str | None, int] = {}

    def admits(self, lease: Lease) -> bool:  # noqa: ARG002 - nobody is refused here
        """Always."""
        return True

    def add(self, lease: Lease) -> None:
        """Wait behind the tenant's own."""
        self._waiting.setdefault(lease.message.group_id, deque()).append(lease)

    def take(self) -> Lease | None:
        """The first of the tenant with the fewest started."""
        if not self._waiting:
            return None
        tenant = next(iter(self._waiting))
        if len(self._waiting) > 1:
            tenant = min(self._waiting, key=lambda one: self._started.get(one, 0))
        line = self._waiting.pop(tenant)
        lease = line.popleft()
        if line:
            self._waiting[tenant] = line  # behind the others: they were served less recently
        self._started[tenant] = self._started.get(tenant, 0) + 1
        return lease

    def end(self, lease: Lease, outcome: Outcome | None) -> list[Lease]:  # noqa: ARG002 - of no matter here
        """A slot of its tenant is free."""
        tenant = lease.message.group_id
        left = self._started[tenant] - 1
        if left:
            self._started[tenant] = left
        else:
            del self._started[tenant]
        return []

    def drop(self, lease: Lease) -> list[Lease]:
        """Forget it; nobody depends on it."""
        line = self._waiting.get(lease.message.group_id)
        if line and lease in line:
            line.remove(lease)
            if not line:
                del self._waiting[lease.message.group_id]
        return []

    def drain(self) -> list[Lease]:
        """All that wait."""
        waiting = [lease for line in self._waiting.values() for lease in line]
        self._waiting.clear()
        return waiting


PARKED = 10_000
"""Parked groups that are remembered; the ones parked longest ago are let go beyond that."""


class GroupLine:
    """Starts a group's next message when the one before it was delivered or dead-lettered.

    SQS shows nothing of a group while any of its messages is hidden. So a head that must wait,
    released last, keeps its group's later ones from everybody until its time comes.

    Args:
        park: a dead-lettered head stops its group instead of letting it go on.
        expiring: whether the queue will soon delete a message. That ends its group's parking:
            the order is worth less than the message.
    """

    def __init__(
        self, *, park: bool = False, expiring: Callable[[Message], bool] = lambda _: False
    ) -> None:
        self._park = park
        self._expiring = expiring
        self._groups: dict[str, deque[Lease]] = {}
        self._ready: OrderedDict[str, None] = OrderedDict()
        self._started: dict[str, Lease] = {}
        self._parked: OrderedDict[str, None] = OrderedDict()

    @property
    def parked(self) -> tuple[str, ...]:
        """The groups that are stopped behind a dead letter."""
        return tuple(self._parked)

    def add(self, lease: Lease) -> None:
        """Wait behind the group's earlier ones."""
        group = _group(lease)
        self._groups.setdefault(group, deque()).append(lease)
        self._offer(group)

    def take(self) -> Lease | None:
        """The head of the group that has been ready longest."""
        if not self._ready:
            return None
        group, _ = self._ready.popitem(last=False)
        line = self._groups[group]
        lease = line.popleft()
        if not line:
            del self._groups[group]
        self._started[group] = lease
        return lease

    def end(self, lease: Lease, outcome: Outcome | None) -> list[Lease]:
        """Let the group go on, or give up its later ones, the last of them first."""
        group = _group(lease)
        del self._started[group]
        if isinstance(outcome, Reject) and self._park:
            self._remember(group)
        if isinstance(outcome, Delivered | Reject) and group not in self._parked:
            self._offer(group)
            return []
        return self._give_up(group)

    def drop(self, lease: Lease) -> list[Lease]:
        """Forget it and give up its group's later ones: they must not overtake it."""
        group = _group(lease)
        line = list(self._groups.get(group, ()))
        if lease not in line:
            return []
        place = line.index(lease)
        self._groups[group] = deque(line[:place])
        if place == 0:
            self._give_up(group)
        return line[:place:-1]

    def drain(self) -> list[Lease]:
        """All that wait, the last of each group first."""
        waiting = [lease for line in self._groups.values() for lease in reversed(line)]
        self._groups.clear()
        self._ready.clear()
        return waiting

    def admits(self, lease: Lease) -> bool:
        """Whether its group may go on."""
        group = _group(lease)
        if group in self._parked and self._expiring(lease.message):
            del self._parked[group]
        return group not in self._parked

    def _offer(self, group: str) -> None:
        if group in self._groups and group not in self._started:
            self._ready[group] = None

    def _give_up(self, group: str) -> list[Lease]:
        self._ready.pop(group, None)
        return list(self._groups.pop(group, ()))[::-1]

    def _remember(self, group: str) -> None:
        self._parked[group] = None
        while len(self._parked) > PARKED:
            self._parked.popitem(last=False)


def _group(lease: Lease) -> str:
    # SQS lets no message without a group into a FIFO queue; an emulator's stands for itself.
    return lease.message.group_id or lease.message.message_id
