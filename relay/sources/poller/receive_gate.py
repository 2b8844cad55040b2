"""Whether to receive now: not while messages cannot be handled or calls to the queue fail.

A `Gate` is closed while the destination is unavailable, and while an operator has paused the queue.
`ExpiringSweep` opens it for messages that the queue will soon delete. `ReceiveHealth` delays
receiving while calls to the queue fail.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.aws.errors import AwsError
from relay.aws.sqs import Queue
from relay.aws.sqs_values import QueueAttributes, ReceivedMessage
from relay.delivery.pause import Pausing
from relay.delivery.retention import REFRESH_EVERY, Retention
from relay.model.facts import Observe, ReceivingChanged, ignore
from relay.model.message import Message
from relay.sources.poller.lease import now

HALTING = ("credentials", "denied", "kms", "missing", "misconfigured")
"""Kinds of errors that a person has to fix."""

HALTED_PAUSE = 30.0
"""Seconds between tries while halted: keys and permissions do get fixed meanwhile."""

FIRST_PAUSE = 0.2
MAX_PAUSE = 20.0


class Accepting(Protocol):
    """Says whether messages can be handled at all."""

    @property
    def accepting(self) -> bool:
        """Whether another message can be handled now."""
        ...

    async def wait_accepting(self) -> None:
        """Return when another message can be handled."""
        ...


class Gate(Accepting, Protocol):
    """Nothing is received while it is closed."""

    @property
    def paused(self) -> bool:
        """Whether it is closed because an operator wants no message to be taken."""
        ...


class PausableGate:
    """A gate that is also closed while the queue is paused.

    Args:
        inner: says whether messages can be handled.
        pause: says whether the queue is paused.
    """

    def __init__(self, inner: Accepting, pause: Pausing) -> None:
        self._inner = inner
        self._pause = pause

    @property
    def accepting(self) -> bool:
        """Whether another message may be received now."""
        return not self.paused and self._inner.accepting

    @property
    def paused(self) -> bool:
        """Whether the queue is paused, or not yet known not to be."""
        return self._pause.paused

    async def wait_accepting(self) -> None:
        """Return when another message may be received."""
        while not self.accepting:
            await self._pause.wait_resumed()
            await self._inner.wait_accepting()


class AlwaysOpen:
    """The gate of a poller that was given none."""

    accepting = True
    paused = False

    async def wait_accepting(self) -> None:
        """Return at once."""


class ExpiringSweep:
    """A gate that also opens, while the inner one is closed, for messages about to be deleted.

    Args:
        gate: the inner gate.
        retention: the queue's: which messages it will soon delete, and how often to look for them.
    """

    def __init__(self, gate: Gate, retention: Retention) -> None:
        self._gate = gate
        self._retention = retention
        self._sweeping = False

    @property
    def accepting(self) -> bool:
        """Whether another message may be received now."""
        return self._gate.accepting or self._sweeping

    @property
    def paused(self) -> bool:
        """Whether an operator wants no message to be taken."""
        return self._gate.paused

    @property
    def closed(self) -> bool:
        """Whether the inner gate is closed: what is in flight may wait for the destination."""
        return not self._gate.accepting

    @property
    def every(self) -> float:
        """Seconds of a closed gate between two looks at the messages that wait in the queue."""
        return self._retention.sweep_every

    def expiring(self, message: Message) -> bool:
        """Whether the queue will soon delete the message."""
        return self._retention.expiring(message)

    async def wait_accepting(self) -> None:
        """Return when another message may be received, if only to check its age."""
        waited = 0.0
        while (left := self.every - waited) > 0:
            step = min(left, REFRESH_EVERY)  # the retention may be shorter by then
            try:
                async with asyncio.timeout(step):
                    return await self._gate.wait_accepting()
            except TimeoutError:
                waited += step
        self._sweeping = True
        return None

    def received(self, batch: Sequence[ReceivedMessage]) -> None:
        """Sweep on while the gate is closed and a received message is about to be deleted."""
        self._sweeping = not self._gate.accepting and any(
            self.expiring(received.message) for received in batch
        )


@dataclass(slots=True)
class _Failure:
    error: AwsError
    until: float
    count: int = 1

    @property
    def state(self) -> str:
        return "halted" if self.error.kind in HALTING else "backing-off"


class ReceiveHealth:
    """Remembers which calls fail and when the next receive may be tried.

    Nothing is received while any call for receiving or settling fails: a message that cannot be
    deleted should not be received either.

    Args:
        longest_pause: the most seconds until the next try.
        observe: gets changes of the state.
        clock: seconds.
        sleep: sleeps on that clock.
        uniform: jitter.
    """

    def __init__(
        self,
        *,
        longest_pause: Callable[[], float] = lambda: math.inf,
        observe: Observe = ignore,
        clock: Callable[[], float] = now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._longest_pause = longest_pause
        self._observe = observe
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform
        self._failures: dict[str, _Failure] = {}
        self._state = "open"
        self._reason = ""
        self._since = clock()

    @property
    def state(self) -> str:
        """`open`, `backing-off` or `halted`."""
        return self._state

    @property
    def reason(self) -> str:
        """Why it is not open, as a sentence; empty while it is."""
        return self._reason

    def failed(self, call: str, error: AwsError) -> None:
        """Record that this call failed; it delays the next receive."""
        before = self._failures.get(call)
        count = before.count + 1 if before else 1
        until = self._clock() + min(self._pause(error, count), self._longest_pause())
        self._failures[call] = _Failure(error, until, count)
        self._update()

    def succeeded(self, call: str) -> None:
        """Record that this call succeeded.

        It also ends the transient failures of other calls whose pause is over: they may never be
        repeated, because their leases have ended.
        """
        if not self._failures:
            return
        now = self._clock()
        self._failures = {
            name: failure
            for name, failure in self._failures.items()
            if name != call and (failure.state == "halted" or failure.until > now)
        }
        self._update()

    async def wait_clear(self) -> None:
        """Return when a receive may be tried."""
        while (wait := self._remaining()) > 0:
            await self._sleep(wait)

    def _remaining(self) -> float:
        if not self._failures:
            return 0.0
        return max(failure.until for failure in self._failures.values()) - self._clock()

    def _pause(self, error: AwsError, count: int) -> float:
        if error.kind in HALTING:
            return self._uniform(0.8, 1.2) * HALTED_PAUSE
        longest = min(MAX_PAUSE, FIRST_PAUSE * 2.0 ** min(count, 16))
        return self._uniform(0.5, 1.0) * longest

    def _update(self) -> None:
        """Report a change of state once, not at each failure."""
        worst = max(self._failures.values(), key=lambda one: one.state, default=None)
        state = worst.state if worst else "open"
        reason = worst.error.sentence if worst else ""
        if state != self._state:
            lasted = self._clock() - self._since
            self._observe(ReceivingChanged(state=state, reason=reason, seconds=lasted))
            self._since = self._clock()
        self._state, self._reason = state, reason


async def wait_for_attributes(queue: Queue, receive_health: ReceiveHealth) -> QueueAttributes:
    """The queue's attributes, requested until SQS answers. `receive_health` paces the requests."""
    while True:
        await receive_health.wait_clear()
        try:
            attributes = await queue.attributes()
        except AwsError as error:
            receive_health.failed("attributes", error)
        else:
            receive_health.succeeded("attributes")
            return attributes
