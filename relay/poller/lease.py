"""A lease: a message that SQS hides from everybody else for us, until a moment we count ourselves.

SQS counts from when it answered, we count from before we asked, so ours ends first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from enum import Enum, auto

from msgspec import Struct, field

from relay.message import Message

LONGEST = 43_200.0
"""Amazon SQS quota: seconds that one receive may be hidden in total. Asking for more fails."""

MARGIN = 5.0
"""Seconds kept off the quota, so that a slow call asks for no more than is left."""


class Stage(Enum):
    """Where a lease is on its way."""

    WAITING = auto()
    HANDLING = auto()
    SETTLING = auto()


class Lease(Struct, eq=False):
    """One message in hand. Times are those of `now`, seconds.

    `deadline` is when SQS may show the message to others. `lost` says that SQS refused to extend
    it, or that the deadline passed: somebody else may have the message too. `former` are the
    handles of earlier receives of the same message. `task` is what handles or settles it, once that
    runs: a task that is cancelled before it could start settles nothing.
    """

    message: Message
    handle: str
    taken_at: float
    deadline: float
    renew_at: float
    size: int = 0
    stage: Stage = Stage.WAITING
    lost: bool = False
    withdrawn: bool = False
    extension: asyncio.Future[None] | None = None
    task: asyncio.Task[None] | None = None
    former: list[str] = field(default_factory=list)

    def held(self, at: float) -> bool:
        """Whether the message is surely ours at this time."""
        return not self.lost and at < self.deadline

    def longest(self, at: float) -> float:
        """How many seconds SQS would still hide it for, 0 where there is nothing left to ask."""
        return max(0.0, self.taken_at + LONGEST - MARGIN - at)

    def withdraw(self) -> None:
        """End its handling without an outcome; does nothing where it has ended or still waits."""
        if self.stage is Stage.HANDLING and not self.withdrawn:
            self.withdrawn = True
            if self.task is not None:
                self.task.cancel()

    async def extended(self) -> None:
        """Wait for an extension that is under way, so that it cannot undo what comes next."""
        if self.extension is not None:
            await asyncio.shield(self.extension)

    def adopt(self, other: Lease) -> None:
        """Take over a later receive of the same message: only its newest handle is sure to work."""
        if other.handle != self.handle:
            self.former.append(self.handle)
        self.message, self.handle = other.message, other.handle
        self.taken_at, self.deadline = other.taken_at, other.deadline
        self.renew_at, self.lost = other.renew_at, False


class Leases:
    """The leases in hand by MessageId. Bounded by the room that is taken before a receive."""

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}

    def __len__(self) -> int:
        return len(self._leases)

    def __iter__(self) -> Iterator[Lease]:
        return iter(list(self._leases.values()))

    def add(self, lease: Lease) -> bool:
        """Take it in hand; False where its message is in hand already and was renewed by it."""
        known = self._leases.setdefault(lease.message.message_id, lease)
        if known is not lease:
            known.adopt(lease)
        return known is lease

    def remove(self, lease: Lease) -> None:
        """Let go of it."""
        if self._leases.get(lease.message.message_id) is lease:
            del self._leases[lease.message.message_id]


def renewal(start: float, visibility: float, uniform: Callable[[float, float], float]) -> float:
    """When a lease of `visibility` seconds that began at `start` is extended: about half-way."""
    return start + visibility * uniform(0.4, 0.6)


def now() -> float:
    """Seconds of a clock that goes on while the machine sleeps, where the system has one."""
    return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()


_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)
