"""Fair queues: each tenant of a standard queue gets its share of the slots while others wait."""

from __future__ import annotations

from collections import deque

from relay.message import Outcome
from relay.poller.lease import Lease


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
