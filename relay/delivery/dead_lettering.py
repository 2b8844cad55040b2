"""Dead-lettering: builds a message's copy with its reason, sends it once and remembers that."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

from relay.delivery.message_ids import content_digest
from relay.model.encoded_body import encoding_candidates, sqs_accepts
from relay.model.facts import DeadLettered, Observe, ignore
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin
from relay.model.outcome import Reject, Retry, shortened

MAX_ATTRIBUTES = 10
"""Amazon SQS quota: message attributes in a message."""

MAX_BYTES = 1_048_576
"""Amazon SQS quota: body and attributes of a message together, in bytes."""

REMEMBERED = 20_000
"""Dead-lettered messages whose redeliveries are only acknowledged."""

REMEMBERED_FOR = 3_600.0
"""Seconds for which they are remembered."""

LAST_TRIES_EVERY = 1.0
"""Seconds between tries for a message that SQS is about to delete."""

PROBE_EVERY = 30.0
"""Seconds between tries while a permission, a key or the queue itself is missing."""

PROBLEM_EXPIRES_AFTER = 1_800.0
"""Seconds after its last failed try when a problem is forgotten: another relay may have stored the
message. Longer than sqsd takes to deliver a message again."""

LARGE = 65_536
"""Bytes of a message from which on it takes a turn to be dead-lettered."""

LARGE_AT_A_TIME = 2
"""Large messages that are dead-lettered at a time. A guard that lets go releases many at once; each
takes the event loop some 20 ms and several times its size in memory."""

LEAVE_TO_SQS = 43_200.0
"""Seconds; the longest visibility timeout. SQS's own redrive policy moves what cannot be copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterCopy:
    """The message that is sent to the dead-letter queue.

    `complete` is False if part of the original was changed or left out. `group_id` is the original
    one, if known. `dedup_id` applies to FIFO queues only; it lets SQS drop nothing but our own
    earlier copy of the same message and hop.
    """

    body: str
    attributes: Mapping[str, Attribute]
    group_id: str | None = None
    dedup_id: str
    trace_header: str | None = None
    complete: bool = True


class TooLarge(Exception):
    """The message does not fit into SQS together with its reason, whatever its encoding."""


def dead_letter_copy(
    message: Message, origin: Origin, max_bytes: int = MAX_BYTES
) -> DeadLetterCopy:
    """The most complete copy of the message that SQS can hold.

    The body is unchanged if SQS accepts it, otherwise encoded as `origin.encoding` says.
    Attributes that do not fit beside the origin are listed in `origin.lost`.

    Raises:
        TooLarge: it does not even fit compressed and without attributes.
    """
    others = {k: v for k, v in message.attributes.items() if k.casefold() != ATTRIBUTE}
    storable = {k: v for k, v in others.items() if _storable(v)}
    for body, encoding in encoding_candidates(message.body, origin.encoding):
        for kept in _choices(storable):
            lost = tuple(sorted(set(others) - set(kept)))
            packed = replace(origin, encoding=encoding, lost=_merged(origin.lost, lost)).pack()
            attributes = {**kept, ATTRIBUTE: Attribute("String", packed)}
            if _size(body, attributes) <= max_bytes:
                return DeadLetterCopy(
                    body=body,
                    attributes=attributes,
                    group_id=message.group_id,
                    dedup_id=_dedup_id(message, origin),
                    trace_header=message.trace_header,
                    complete=encoding is None and not lost,
                )
    raise TooLarge(f"the message and its reason exceed SQS's limit of {max_bytes} bytes")


def _choices(attributes: Mapping[str, Attribute]) -> list[dict[str, Attribute]]:
    """As many as fit beside the origin, the smallest first; then none."""
    first = dict(sorted(attributes.items(), key=lambda item: _cost(*item))[: MAX_ATTRIBUTES - 1])
    return [first, {}] if first else [{}]


def _storable(attribute: Attribute) -> bool:
    """Whether SQS accepts the value: one that came as an HTTP header may be garbled."""
    value = attribute.value
    return bool(value) and (isinstance(value, bytes) or sqs_accepts(value))


def _cost(name: str, attribute: Attribute) -> int:
    value = attribute.value
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "replace")
    return len(name.encode()) + len(attribute.data_type) + len(raw)


def _size(body: str, attributes: Mapping[str, Attribute]) -> int:
    return len(body.encode()) + sum(_cost(*item) for item in attributes.items())


def _merged(before: tuple[str, ...], now: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*before, *now)))


def _dedup_id(message: Message, origin: Origin) -> str:
    key = f"{message.queue}\n{message.message_id}\n{origin.hops}"
    return hashlib.sha256(key.encode()).hexdigest()


def _without_reason(reject: Reject) -> Reject:
    """What is remembered of a reject: thousands of reasons would take tens of megabytes."""
    return Reject(reject.code, "it was dead-lettered a short time ago", reject.may_have_run)


class NotStored(Exception):
    """The dead-letter queue did not store the copy.

    Args:
        reason: a sentence for a person.
        setting: the setting to check, if a permission, a key or the queue is missing; None if a
            later retry may help.
    """

    def __init__(self, reason: str, *, setting: str | None = None) -> None:
        self.reason = shortened(reason)
        super().__init__(self.reason)
        self.setting = setting


class DeadLetterStore(Protocol):
    """Stores copies. Both methods raise `NotStored`."""

    async def limit(self) -> int:
        """The most bytes that a message may have, including its attributes."""
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
    """Sends copies, and remembers for a while which messages have one."""

    def __init__(
        self,
        store: DeadLetterStore,
        *,
        observe: Observe = ignore,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._observe = observe
        self._clock = clock
        self._sleep = sleep
        self._probing = asyncio.Lock()
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
        size = len(message.body) + sum(len(one.value) for one in message.attributes.values())
        return self._large if size >= LARGE else nullcontext()

    async def put(
        self,
        message: Message,
        origin: Origin,
        reject: Reject,
        must_end: Callable[[Message], bool] = lambda _: False,
    ) -> Reject | Retry:
        """Store the copy. Returns `Reject` once SQS has it, `Retry` if a later try may help.

        A message that `must_end`, because SQS would delete it before a later try, is tried again
        here for as long as the caller waits.

        Waits while a permission, a key or the queue is missing. Cancelling the caller does not
        cancel a send that has begun: the copy is remembered when SQS has it.
        """
        while True:
            try:
                await self._send(message, origin, reject)
            except TooLarge as error:
                return Retry(f"{reject.code}: {reject.reason}; {error}", after=LEAVE_TO_SQS)
            except NotStored as error:
                if error.setting is None:
                    if not must_end(message):
                        return Retry(error.reason)
                    await self._sleep(LAST_TRIES_EVERY)
                    continue
                self._failure = self._clock(), error.reason, error.setting
            else:
                return reject
            async with self._probing:
                if self._failure is not None:
                    await self._sleep(PROBE_EVERY)

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

    async def _send(self, message: Message, origin: Origin, reject: Reject) -> None:
        copy = dead_letter_copy(message, origin, await self._store.limit())
        task = asyncio.create_task(self._stored(message, copy, reject))
        self._sending.add(task)
        task.add_done_callback(self._sent)
        await asyncio.shield(task)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved: the caller may have left

    async def _stored(self, message: Message, copy: DeadLetterCopy, reject: Reject) -> None:
        await self._store.put(copy)
        self._failure = None
        self._remember(message, _without_reason(reject))
        self._observe(
            DeadLettered(
                message=message, code=reject.code, reason=reject.reason, complete=copy.complete
            )
        )

    def _remember(self, message: Message, reject: Reject) -> None:
        key = message.message_id
        self._remembered[key] = _Remembered(self._clock(), reject, content_digest(message))
        self._remembered.move_to_end(key)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
