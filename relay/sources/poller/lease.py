"""The heartbeat: everything in hand stays hidden for as long as we and SQS want."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from enum import Enum, auto

from msgspec import Struct, field

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.aws.sqs_values import Failed, tens
from relay.model.facts import Extended, LeaseLost, Observe, ignore
from relay.model.message import Message

MAX_VISIBILITY = 43_200.0
"""Amazon SQS quota: seconds that one receive may be hidden in total. Asking for more fails."""

VISIBILITY_MARGIN = 5.0
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
        return max(0.0, self.taken_at + MAX_VISIBILITY - VISIBILITY_MARGIN - at)

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


LOOKS = 40.0
"""How often the leases are looked at within one visibility timeout."""

LONGEST_REST = 5.0

PARTS = 6
"""A request may take this part of a lease: begun at half of it, two more tries are left then."""

LONGEST_PATIENCE = 10.0
"""Seconds for one request."""


class Extender:
    """Extends each lease at about half its time, in tens, and tells which were lost.

    Args:
        queue: where the leases are from.
        leases: those in hand, the ones that wait for a slot too.
        visibility: seconds that each extension asks for, as far as SQS's 12 hours let it.
        lost: is called once for a lease that ended or was refused, unless it is being settled.
        observe: is told of extensions and of lost leases.
        clock: the clock that leases are counted by.
        sleep: waits on that clock.
        uniform: spreads the extensions, so that they don't all come at once.
    """

    def __init__(
        self,
        queue: Queue,
        leases: Leases,
        visibility: float,
        *,
        lost: Callable[[Lease], None],
        observe: Observe = ignore,
        clock: Callable[[], float] = now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._queue = queue
        self._leases = leases
        self._visibility = visibility
        self._lost = lost
        self._observe = observe
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform

    async def run(self) -> None:
        """Look at the leases for ever. A request without an answer delays none of the others."""
        rest = min(LONGEST_REST, self._visibility / LOOKS)
        async with asyncio.TaskGroup() as requests:
            while True:
                await self._sleep(rest)
                for leases in tens(self._due()):
                    request = requests.create_task(self._extend(leases))
                    request.add_done_callback(self._under_way(leases))

    def _under_way(self, leases: Sequence[Lease]) -> Callable[[object], None]:
        """Let nobody else change the visibility of these until what is returned is called."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for lease in leases:
            lease.extension = ended

        def end(_: object) -> None:
            ended.set_result(None)
            for lease in leases:
                lease.extension = None

        return end

    def _due(self) -> list[Lease]:
        """What is to be extended now. What has ended is given up: time may pass without us."""
        at, due = self._clock(), []
        for lease in self._leases:
            if lease.lost or lease.stage is Stage.SETTLING:
                continue
            if at >= lease.deadline:
                self._lose(lease)
            elif at >= lease.renew_at and lease.extension is None:
                due.append(lease)
        return due

    async def _extend(self, leases: Sequence[Lease]) -> None:
        start = self._clock()
        changes = [(one.handle, self._seconds(one, start)) for one in leases]
        results = await self._answers(changes)
        failed = 0
        for lease, (handle, seconds), result in zip(leases, changes, results, strict=True):
            if lease.handle == handle:  # another receive may have renewed it meanwhile
                self._note(lease, start, seconds, result)
            failed += result is not None
        self._observe(Extended(count=len(leases) - failed, failed=failed))

    async def _answers(self, changes: Sequence[tuple[str, float]]) -> list[Failed | None]:
        patience = min(LONGEST_PATIENCE, self._visibility / PARTS)
        try:
            async with asyncio.timeout(patience):
                return await self._queue.change_visibility(changes)
        except AwsError as error:
            return [Failed(error.code, error.sentence)] * len(changes)
        except TimeoutError:
            return [Failed("Unanswered", f"no answer in {patience:g} s")] * len(changes)

    def _note(self, lease: Lease, start: float, seconds: float, result: Failed | None) -> None:
        if result is None:
            lease.deadline = start + seconds
            at_the_end = seconds < self._visibility
            lease.renew_at = (
                float("inf") if at_the_end else renewal(start, self._visibility, self._uniform)
            )
        elif result.permanent and lease.stage is not Stage.SETTLING:
            self._lose(lease)
        else:
            # Tried again at the next looks, until it is granted or the lease has ended.
            lease.renew_at = start

    def _seconds(self, lease: Lease, at: float) -> float:
        return float(int(min(self._visibility, lease.longest(at))))

    def _lose(self, lease: Lease) -> None:
        lease.lost = True
        self._observe(LeaseLost(lease.message.message_id))
        self._lost(lease)
