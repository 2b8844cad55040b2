"""Leases: received messages, and the heartbeat that keeps them hidden from other consumers."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from enum import Enum, auto

from msgspec import Struct, field

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.aws.sqs_values import Failed, ReceivedMessage, batches_of_ten
from relay.delivery.fast_path import FastDelivery
from relay.model.facts import Extended, LeaseLost, Observe, ignore
from relay.model.message import Message

MAX_VISIBILITY = 43_200.0
"""Amazon SQS quota: seconds for which one receive may be hidden in total. Longer requests fail."""

VISIBILITY_MARGIN = 5.0
"""Seconds kept below the quota, so that a slow request does not exceed it."""

CHECKS_PER_TIMEOUT = 40.0
"""How often the leases are checked within one visibility timeout."""

MAX_CHECK_INTERVAL = 5.0
"""Seconds."""

TIMEOUT_SHARE = 6
"""A request may take this part of a lease: begun at its half, it leaves time for two more."""

MAX_REQUEST_TIMEOUT = 10.0
"""Seconds for one request."""

_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def now() -> float:
    """Seconds on a clock that goes on while the machine is suspended, where there is one."""
    return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()


class Stage(Enum):
    """How far the message of a lease has come."""

    WAITING = auto()
    HANDLING = auto()
    SETTLING = auto()


class Lease(Struct, eq=False):
    """One message in flight. Times are seconds of `now`.

    `deadline` is when SQS may return the message to other consumers. `lost` means that SQS refused
    to extend it, or that the deadline has passed: another consumer may have the message too.
    `old_handles` are the handles of earlier receives of the same message. `task` handles or settles
    it, once that task runs: a task that is cancelled before its start settles nothing. `fast` is
    its handling without a task.
    """

    message: Message
    handle: str
    received_at: float
    deadline: float
    renew_at: float
    size: int = 0
    stage: Stage = Stage.WAITING
    lost: bool = False
    withdrawn: bool = False
    extension: asyncio.Future[None] | None = None
    task: asyncio.Task[None] | None = None
    fast: FastDelivery | None = None
    old_handles: list[str] = field(default_factory=list)

    def held(self, at: float) -> bool:
        """Whether no other consumer can have the message at this time."""
        return not self.lost and at < self.deadline

    def max_extension(self, at: float) -> float:
        """Seconds for which SQS would still hide it; 0 if there are none left."""
        return max(0.0, self.received_at + MAX_VISIBILITY - VISIBILITY_MARGIN - at)

    def withdraw(self) -> None:
        """Cancel its handling; without effect unless it is being handled."""
        if self.stage is Stage.HANDLING and not self.withdrawn:
            self.withdrawn = True
            if self.task is not None:
                self.task.cancel()
            elif self.fast is not None:
                self.fast.take_apart()

    def cancel_handling(self) -> None:
        """Cancel the task that handles the message, unless it has its outcome already."""
        if self.stage is Stage.HANDLING and self.task is not None:
            self.task.cancel()

    async def wait_extended(self) -> None:
        """Wait for an open extension, so that it cannot undo the next visibility change."""
        if self.extension is not None:
            await asyncio.shield(self.extension)

    def adopt(self, other: Lease) -> None:
        """Take over a later receive of the message: only its newest handle certainly works."""
        if other.handle != self.handle:
            self.old_handles.append(self.handle)
        self.message, self.handle = other.message, other.handle
        self.received_at, self.deadline = other.received_at, other.deadline
        self.renew_at, self.lost = other.renew_at, False


class Leases:
    """The leases in flight by MessageId. `Capacity` limits their number."""

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}

    def __len__(self) -> int:
        return len(self._leases)

    def __iter__(self) -> Iterator[Lease]:
        return iter(list(self._leases.values()))

    def add(self, lease: Lease) -> bool:
        """Add it. False if its message is in flight already, whose lease was renewed by it."""
        existing = self._leases.setdefault(lease.message.message_id, lease)
        if existing is not lease:
            existing.adopt(lease)
        return existing is lease

    def remove(self, lease: Lease) -> None:
        """Remove it, if it is here."""
        if self._leases.get(lease.message.message_id) is lease:
            del self._leases[lease.message.message_id]


def leases_of(
    batch: Sequence[ReceivedMessage], requested_at: float, visibility: float
) -> list[Lease]:
    """The leases of the messages of a receive. They are extended together, in one request."""
    renew_at = renewal_time(requested_at, visibility, random.uniform)
    return [
        Lease(
            message=(message := received.message),
            handle=received.handle,
            received_at=requested_at,
            deadline=requested_at + visibility,
            renew_at=renew_at,
            size=_size(message) if message.attributes else len(message.body),
        )
        for received in batch
    ]


def _size(message: Message) -> int:
    attributes = message.attributes.items()
    return len(message.body) + sum(len(name) + len(one.value) for name, one in attributes)


def renewal_time(
    start: float, visibility: float, uniform: Callable[[float, float], float]
) -> float:
    """When to extend a lease of `visibility` seconds that began at `start`: about half-way."""
    return start + visibility * uniform(0.4, 0.6)


class Heartbeat:
    """Extends each lease at about half its time, in batches of ten, and reports lost leases.

    Args:
        queue: the queue of the leases.
        leases: all in flight, those that wait for a slot too.
        visibility: seconds for which each extension hides a message, within SQS's 12 hours.
        lost: called once for a lease that ended or was refused, unless it is being settled.
        observe: gets extensions and lost leases.
        clock: the clock of the leases.
        sleep: sleeps on that clock.
        uniform: spreads the extensions over time.
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
        """Check the leases until cancelled. A request without an answer delays no other."""
        interval = min(MAX_CHECK_INTERVAL, self._visibility / CHECKS_PER_TIMEOUT)
        async with asyncio.TaskGroup() as requests:
            while True:
                await self._sleep(interval)
                for leases in batches_of_ten(self._due()):
                    request = requests.create_task(self._extend(leases))
                    request.add_done_callback(self._begin_extension(leases))

    def _begin_extension(self, leases: Sequence[Lease]) -> Callable[[object], None]:
        """Hold back other visibility changes of these leases until the returned call."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for lease in leases:
            lease.extension = ended

        def end(_: object) -> None:
            ended.set_result(None)
            for lease in leases:
                lease.extension = None

        return end

    def _due(self) -> list[Lease]:
        """The leases to extend now. Those past their deadline are lost: the process may sleep."""
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
        results = await self._request(changes)
        failed = 0
        for lease, (handle, seconds), result in zip(leases, changes, results, strict=True):
            if lease.handle == handle:  # another receive may have renewed it meanwhile
                self._apply(lease, start, seconds, result)
            failed += result is not None
        self._observe(Extended(count=len(leases) - failed, failed=failed))

    async def _request(self, changes: Sequence[tuple[str, float]]) -> list[Failed | None]:
        timeout = min(MAX_REQUEST_TIMEOUT, self._visibility / TIMEOUT_SHARE)
        try:
            async with asyncio.timeout(timeout):
                return await self._queue.change_visibility(changes)
        except AwsError as error:
            return [Failed(error.code, error.sentence)] * len(changes)
        except TimeoutError:
            return [Failed("Unanswered", f"no answer in {timeout:g} s")] * len(changes)

    def _apply(self, lease: Lease, start: float, seconds: float, result: Failed | None) -> None:
        if result is None:
            lease.deadline = start + seconds
            last = seconds < self._visibility
            lease.renew_at = (
                float("inf") if last else renewal_time(start, self._visibility, self._uniform)
            )
        elif result.permanent and lease.stage is not Stage.SETTLING:
            self._lose(lease)
        else:
            # Retried at the next checks, until it is granted or the lease has ended.
            lease.renew_at = start

    def _seconds(self, lease: Lease, at: float) -> float:
        return float(int(min(self._visibility, lease.max_extension(at))))

    def _lose(self, lease: Lease) -> None:
        lease.lost = True
        self._observe(LeaseLost(lease.message.message_id))
        self._lost(lease)
