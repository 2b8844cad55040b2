"""Dead-lettering: builds a message's copy with its reason, sends it once and remembers that."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from relay.delivery.dead_letter_copy import DeadLetterCopy, NotStored, TooLarge, bare_copy
from relay.delivery.dead_letter_room import TRY_AGAIN_AFTER, BodyStore, Room
from relay.delivery.message_ids import content_digest
from relay.model.facts import DeadLettered, DeadLetterTooLarge, Observe, ignore
from relay.model.message import Message
from relay.model.origin import Origin
from relay.model.outcome import Reject, Retry

REMEMBERED = 20_000
"""Dead-lettered messages whose redeliveries are only acknowledged."""

REMEMBERED_FOR = 3_600.0
"""Seconds for which they are remembered."""

LAST_TRIES_EVERY = 1.0
"""Seconds between tries for a message that SQS is about to delete."""

PROBE_EVERY = 30.0
"""Seconds between tries while a permission, a key or the queue itself is missing."""

MOST_WAITING = 10
"""Messages that wait here meanwhile. The others go back to the queue: they would take the places in
flight of good ones."""

PROBLEM_EXPIRES_AFTER = 1_800.0
"""Seconds after its last failed try when a problem is forgotten: another relay may have stored the
message. Longer than sqsd takes to deliver a message again."""

LARGE = 65_536
"""Bytes of a message from which on it takes a turn to be dead-lettered."""

LARGE_AT_A_TIME = 2
"""Large messages that are dead-lettered at a time. A guard that lets go releases many at once; each
takes the event loop some 20 ms and several times its size in memory."""


def _without_reason(reject: Reject) -> Reject:
    """What is remembered of a reject: thousands of reasons would take tens of megabytes."""
    return Reject(reject.code, "it was dead-lettered a short time ago", reject.may_have_run)


def _is_large(message: Message) -> bool:
    size = len(message.body) + sum(len(one.value) for one in message.attributes.values())
    return size >= LARGE


class DeadLetterStore(Protocol):
    """Stores copies. Both methods raise `NotStored`."""

    async def limit(self) -> int:
        """The most bytes that a message may have, including its attributes. It may change."""
        ...

    async def put(self, copy: DeadLetterCopy) -> None:
        """Return once SQS has the copy."""
        ...


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A message that was dead-lettered: when, why, and the digest of its content."""

    at: float
    reject: Reject
    content: bytes


class DeadLettering:
    """Sends copies, and remembers for a while which messages have one.

    Args:
        store: the dead-letter queue.
        bodies: keeps the bodies that do not fit into it, if there is such a place.
        observe: gets the facts.
        clock: seconds since the epoch.
        sleep: waits between tries.
    """

    def __init__(
        self,
        store: DeadLetterStore,
        *,
        bodies: BodyStore | None = None,
        observe: Observe = ignore,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._room = Room(bodies, clock=clock)
        self._observe = observe
        self._clock = clock
        self._sleep = sleep
        self._probing = asyncio.Lock()
        self._waiting = 0
        self._large = asyncio.Semaphore(LARGE_AT_A_TIME)
        self._sending: set[asyncio.Task[None]] = set()
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()
        self._failure: tuple[float, str, str] | None = None

    @property
    def problem(self) -> str | None:
        """Why messages cannot be dead-lettered now, as a sentence; None if they can.

        Until it is solved, one copy at a time is tried and no such message is acknowledged.
        """
        return self._failure[1] if self._failure is not None and self._failing() else None

    @property
    def setting(self) -> str | None:
        """The setting to check for it."""
        return self._failure[2] if self._failure is not None and self._failing() else None

    @property
    def warning(self) -> str | None:
        """What a person should do before messages are dead-lettered incompletely; None if nothing.

        All other messages are delivered and dead-lettered meanwhile.
        """
        return self._room.warning

    def recent(self, message: Message) -> Reject | None:
        """The reject with which this message was dead-lettered recently, or None.

        The content must be the same: the caller acknowledges the message.
        """
        found = self._remembered.get(message.message_id)
        if found is None or self._clock() - found.at >= REMEMBERED_FOR:
            return None
        return found.reject if found.content == content_digest(message) else None

    def turn(self, message: Message) -> AbstractAsyncContextManager[None]:
        """A block in which a message's origin may be made and `put`. Large messages take turns."""
        return self._large if _is_large(message) else nullcontext()

    async def put(
        self,
        message: Message,
        origin: Origin,
        reject: Reject,
        must_end: Callable[[Message], bool] = lambda _: False,
    ) -> Reject | Retry:
        """Store the copy. Returns `Reject` once SQS has it, `Retry` if a later try may help.

        A message that `must_end`, because SQS would delete it before a later try, is tried again
        here for as long as the caller waits. A message that does not fit whole stays in the queue,
        where nothing of it is lost and a person may make room for it, or mend the bucket, until it
        `must_end`: only then a truncated copy is stored.

        Waits while a permission, a key or the queue is missing, unless others wait already or the
        message is large: then it is `Retry`, which gives its place back. Cancelling the caller does
        not cancel a send that has begun: the copy is remembered when SQS has it.
        """
        while True:
            try:
                await self._send(message, origin, reject, partial(must_end, message))
            except TooLarge as error:
                return self._wait_for_room(message, reject, error)
            except NotStored as error:
                if error.setting is None:
                    if not must_end(message):
                        return Retry(error.reason)
                    await self._sleep(LAST_TRIES_EVERY)
                    continue
                self._failure = self._clock(), error.reason, error.setting
                if (self._waiting >= MOST_WAITING or _is_large(message)) and not must_end(message):
                    return Retry(error.reason, after=TRY_AGAIN_AFTER)
            else:
                return reject
            await self._wait_for_probe()

    async def _wait_for_probe(self) -> None:
        """Return when it is this message's turn to be tried again, or the problem is solved."""
        self._waiting += 1
        try:
            async with self._probing:
                if self._failure is not None:
                    await self._sleep(PROBE_EVERY)
        finally:
            self._waiting -= 1

    async def drain(self, seconds: float | None = None) -> None:
        """Wait for open sends, for at most so many seconds if given.

        The message of a send that takes longer is not acknowledged, so it may be dead-lettered
        twice.
        """
        if self._sending:
            await asyncio.wait(self._sending, timeout=seconds)

    def _failing(self) -> bool:
        return (
            self._failure is not None and self._clock() - self._failure[0] < PROBLEM_EXPIRES_AFTER
        )

    def _wait_for_room(self, message: Message, reject: Reject, error: TooLarge) -> Retry:
        self._room.waits(message.message_id)
        reason = f"{error}: {self._room.fix}"
        self._observe(DeadLetterTooLarge(message=message, code=reject.code, reason=reason))
        return Retry(f"{reject.code}: {reject.reason}; {error}", after=TRY_AGAIN_AFTER)

    async def _send(
        self, message: Message, origin: Origin, reject: Reject, last_chance: Callable[[], bool]
    ) -> None:
        limit = await self._store.limit()
        copy = await self._room.copy_of(message, origin, limit, last_chance)
        task = asyncio.create_task(self._stored(message, origin, copy, reject))
        self._sending.add(task)
        task.add_done_callback(self._sent)
        await asyncio.shield(task)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved: the caller may have left

    async def _stored(
        self, message: Message, origin: Origin, copy: DeadLetterCopy, reject: Reject
    ) -> None:
        try:
            await self._store.put(copy)
        except NotStored as error:
            # A copy that the limit has become too small for is made anew at the next delivery.
            if not error.refused or copy.size > (limit := await self._store.limit()):
                raise
            copy = bare_copy(message, origin, limit)
            await self._store.put(copy)
        self._failure = None
        self._room.found(message.message_id)
        self._remember(message, _without_reason(reject))
        self._observe(
            DeadLettered(message=message, code=reject.code, reason=reject.reason, kept=copy.kept)
        )

    def _remember(self, message: Message, reject: Reject) -> None:
        key = message.message_id
        self._remembered[key] = _Remembered(self._clock(), reject, content_digest(message))
        self._remembered.move_to_end(key)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
