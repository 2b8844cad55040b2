"""The order in which messages start: fair between tenants, in order within FIFO groups."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Protocol

from relay.model.message import Message
from relay.model.outcome import Delivered, Outcome, Reject
from relay.sources.poller.lease import Lease

MAX_PARKED = 10_000
"""Parked groups that are remembered; past that, the group parked longest ago is unparked."""


class Scheduler(Protocol):
    """Decides which of the received messages starts next."""

    def admits(self, lease: Lease) -> bool:
        """Whether a received message may be added; if not, the caller hides it for a while."""
        ...

    def add(self, lease: Lease) -> None:
        """Add a received message to those that wait."""
        ...

    def take(self) -> Lease | None:
        """Start the next message; None if no message may start."""
        ...

    def end(self, lease: Lease, outcome: Outcome | None) -> list[Lease]:
        """End a started message; `outcome` is None if it was withdrawn.

        Returns the messages that must not start any more. The caller releases them in this order,
        and before anything else is done with `lease`.
        """
        ...

    def drop(self, lease: Lease) -> list[Lease]:
        """Remove a waiting message whose lease was lost. Returns others to release for it."""
        ...

    def drain(self) -> list[Lease]:
        """Remove all waiting messages. The caller releases them in this order."""
        ...


class FairScheduler:
    """Gives a free slot to the tenant with the fewest started messages; equals take turns.

    The tenant is the message's group id. Messages without one belong to one common tenant.
    """

    def __init__(self) -> None:
        self._waiting: dict[str | None, deque[Lease]] = {}
        self._started: dict[str | None, int] = {}

    def admits(self, lease: Lease) -> bool:  # noqa: ARG002 - every message is admitted
        """Always."""
        return True

    def add(self, lease: Lease) -> None:
        """Add it behind its tenant's other messages."""
        self._waiting.setdefault(lease.message.group_id, deque()).append(lease)

    def take(self) -> Lease | None:
        """Start the first message of the tenant with the fewest started."""
        if not self._waiting:
            return None
        tenant = next(iter(self._waiting))
        if len(self._waiting) > 1:
            tenant = min(self._waiting, key=lambda one: self._started.get(one, 0))
        queue = self._waiting.pop(tenant)
        lease = queue.popleft()
        if queue:
            self._waiting[tenant] = queue  # behind the others: they were served less recently
        self._started[tenant] = self._started.get(tenant, 0) + 1
        return lease

    def end(self, lease: Lease, outcome: Outcome | None) -> list[Lease]:  # noqa: ARG002 - any outcome frees the slot
        """Free a slot of its tenant."""
        tenant = lease.message.group_id
        started = self._started[tenant] - 1
        if started:
            self._started[tenant] = started
        else:
            del self._started[tenant]
        return []

    def drop(self, lease: Lease) -> list[Lease]:
        """Remove it; no other message depends on it."""
        queue = self._waiting.get(lease.message.group_id)
        if queue and lease in queue:
            queue.remove(lease)
            if not queue:
                del self._waiting[lease.message.group_id]
        return []

    def drain(self) -> list[Lease]:
        """Remove all waiting messages."""
        waiting = [lease for queue in self._waiting.values() for lease in queue]
        self._waiting.clear()
        return waiting


class GroupScheduler:
    """Starts a FIFO group's next message when the one before it was delivered or dead-lettered.

    One message of a group is started at a time, groups in parallel. SQS returns no message of a
    group that comes after a hidden one, but does return those before it. So a head that must wait,
    released last, keeps the later messages of its group from all consumers until it is visible
    again.

    Args:
        stop_on_reject: whether a dead-lettered head parks its group instead of letting it go on.
        expiring: whether the queue will soon delete a message. That lets its stopped group go
            on: the order is worth less than the message.
    """

    def __init__(
        self, *, stop_on_reject: bool = False, expiring: Callable[[Message], bool] = lambda _: False
    ) -> None:
        self._park = stop_on_reject
        self._expiring = expiring
        self._groups: dict[str, deque[Lease]] = {}
        self._ready: OrderedDict[str, None] = OrderedDict()
        self._started: dict[str, Lease] = {}
        self._parked: OrderedDict[str, None] = OrderedDict()

    @property
    def parked(self) -> tuple[str, ...]:
        """The groups that are stopped behind a dead letter."""
        return tuple(self._parked)

    def admits(self, lease: Lease) -> bool:
        """Whether its group is not parked."""
        group = _group(lease)
        if group in self._parked and self._expiring(lease.message):
            del self._parked[group]
        return group not in self._parked

    def add(self, lease: Lease) -> None:
        """Add it behind the earlier messages of its group."""
        group = _group(lease)
        self._groups.setdefault(group, deque()).append(lease)
        self._set_ready(group)

    def take(self) -> Lease | None:
        """Start the head of the group that has been ready longest."""
        if not self._ready:
            return None
        group, _ = self._ready.popitem(last=False)
        queue = self._groups[group]
        lease = queue.popleft()
        if not queue:
            del self._groups[group]
        self._started[group] = lease
        return lease

    def end(self, lease: Lease, outcome: Outcome | None) -> list[Lease]:
        """Let the group go on, or return its later messages, the last one first."""
        group = _group(lease)
        del self._started[group]
        if isinstance(outcome, Reject) and self._park:
            self._add_parked(group)
        if isinstance(outcome, Delivered | Reject) and group not in self._parked:
            self._set_ready(group)
            return []
        return self._remove_group(group)

    def drop(self, lease: Lease) -> list[Lease]:
        """Remove it and the later messages of its group: they must not overtake it."""
        group = _group(lease)
        waiting = list(self._groups.get(group, ()))
        if lease not in waiting:
            return []
        index = waiting.index(lease)
        self._groups[group] = deque(waiting[:index])
        if index == 0:
            self._remove_group(group)
        return waiting[:index:-1]

    def drain(self) -> list[Lease]:
        """Remove all waiting messages, the last of each group first."""
        waiting = [lease for queue in self._groups.values() for lease in reversed(queue)]
        self._groups.clear()
        self._ready.clear()
        return waiting

    def _set_ready(self, group: str) -> None:
        if group in self._groups and group not in self._started:
            self._ready[group] = None

    def _remove_group(self, group: str) -> list[Lease]:
        self._ready.pop(group, None)
        return list(self._groups.pop(group, ()))[::-1]

    def _add_parked(self, group: str) -> None:
        self._parked[group] = None
        while len(self._parked) > MAX_PARKED:
            self._parked.popitem(last=False)


def _group(lease: Lease) -> str:
    # SQS accepts no message without a group in a FIFO queue. An emulator may: its group is its own.
    return lease.message.group_id or lease.message.message_id
