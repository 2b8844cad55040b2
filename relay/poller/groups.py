"""FIFO queues: one message of a group at a time, groups in parallel, and the order kept."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from relay.message import Delivered, Message, Outcome, Reject
from relay.poller.lease import Lease

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
