"""The dead-letter queue as the handler sees it: puts a copy there once, remembers that it did."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from relay.model.encoded_body import encoding_candidates, sqs_accepts
from relay.model.facts import DeadLettered, Observe, ignore
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin
from relay.model.outcome import Reject, Retry

MAX_ATTRIBUTES = 10
"""Amazon SQS quota: message attributes in a message."""

MAX_BYTES = 1_048_576
"""Amazon SQS quota: body and attributes of a message together, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterCopy:
    """What is sent to the dead-letter queue. `complete` is False where something was lost.

    `group_id` is the original one, if known; `dedup_id` counts on a FIFO queue only, where SQS may
    swallow nothing but our own earlier copy of the same message and hop.
    """

    body: str
    attributes: Mapping[str, Attribute]
    group_id: str | None = None
    dedup_id: str
    trace_header: str | None = None
    complete: bool = True


class TooLarge(Exception):
    """No form of the message fits into SQS together with its reason."""


def dead_letter_copy(
    message: Message, origin: Origin, max_bytes: int = MAX_BYTES
) -> DeadLetterCopy:
    """The copy of the message that SQS can hold, losing as little as can be.

    The body goes unchanged where SQS can hold it, else as a stand-in that `origin.encoding` names.
    Attributes that find no place beside the origin are named in `origin.lost`.

    Raises:
        TooLarge: even compressed and without attributes it does not fit.
    """
    others = {k: v for k, v in message.attributes.items() if k.casefold() != ATTRIBUTE}
    kept_whole = {k: v for k, v in others.items() if _holdable(v)}
    for body, encoding in encoding_candidates(message.body, origin.encoding):
        for kept in _choices(kept_whole):
            lost = tuple(sorted(set(others) - set(kept)))
            told = replace(origin, encoding=encoding, lost=_merged(origin.lost, lost))
            attributes = {**kept, ATTRIBUTE: Attribute("String", told.pack())}
            if _size(body, attributes) <= max_bytes:
                return DeadLetterCopy(
                    body=body,
                    attributes=attributes,
                    group_id=message.group_id,
                    dedup_id=_dedup(message, origin),
                    trace_header=message.trace_header,
                    complete=encoding is None and not lost,
                )
    raise TooLarge(f"the message fills SQS's {max_bytes} bytes and leaves no place for its reason")


def _choices(attributes: Mapping[str, Attribute]) -> list[dict[str, Attribute]]:
    """As many as find a place beside the origin, the smallest first; then none."""
    first = dict(sorted(attributes.items(), key=lambda item: _cost(*item))[: MAX_ATTRIBUTES - 1])
    return [first, {}] if first else [{}]


def _holdable(attribute: Attribute) -> bool:
    """Whether SQS takes the value: one that came as an HTTP header may have been garbled."""
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


def _dedup(message: Message, origin: Origin) -> str:
    key = f"{message.queue}\n{message.message_id}\n{origin.hops}"
    return hashlib.sha256(key.encode()).hexdigest()


REMEMBERED = 20_000
REMEMBERED_FOR = 3_600.0
"""Seconds. A redelivery of a dead-lettered message in this time is only acknowledged."""

PROBE_EVERY = 30.0
"""Seconds between tries while a permission, a key or the queue itself is missing."""

PROBLEM_EXPIRES_AFTER = 1_800.0
"""Seconds that a failure of the last try stands: another relay may have stored what it was about.
Longer than the daemon takes to bring a message again."""

LEAVE_TO_SQS = 43_200.0
"""Seconds; the longest visibility. SQS's own redrive policy moves what we cannot copy."""


class NotStored(Exception):
    """The dead-letter queue did not take the copy.

    Args:
        reason: a sentence for a person.
        setting: the permission, key or queue to look at; None when trying again later can help.
    """

    def __init__(self, reason: str, *, setting: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.setting = setting


class DeadLetterStore(Protocol):
    """The queue itself. Both methods raise `NotStored`."""

    async def limit(self) -> int:
        """The most bytes that a message of the queue may have, its attributes among them."""
        ...

    async def put(self, copy: DeadLetterCopy) -> None:
        """Return once SQS has the copy."""
        ...


class DeadLetterQueue:
    """Sends copies and knows for a while which messages have one."""

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
        self._turn = asyncio.Lock()
        self._sending: set[asyncio.Task[None]] = set()
        self._remembered: OrderedDict[str, tuple[float, Reject]] = OrderedDict()
        self._trouble: tuple[float, str, str] | None = None

    @property
    def problem(self) -> str | None:
        """The sentence that says why nothing can be dead-lettered now.

        While it stands, one copy at a time tests the way; nothing is acknowledged.
        """
        return self._trouble[1] if self._trouble is not None and self._stands() else None

    @property
    def setting(self) -> str | None:
        """What to look at for it."""
        return self._trouble[2] if self._trouble is not None and self._stands() else None

    def known(self, message_id: str) -> Reject | None:
        """Why this message was dead-lettered a while ago, or None."""
        found = self._remembered.get(message_id)
        if found is None:
            return None
        at, reject = found
        return reject if self._clock() - at < REMEMBERED_FOR else None

    async def put(self, message: Message, origin: Origin, reject: Reject) -> Reject | Retry:
        """Store the copy. `Reject` once it is safely there, `Retry` where it may be later.

        Waits for as long as a misconfiguration stands. A cancelled caller does not stop a copy that
        is on its way: it is remembered when it arrives.
        """
        while True:
            try:
                await self._send(message, origin, reject)
            except TooLarge as error:
                return Retry(f"{reject.code}: {reject.reason}; {error}", after=LEAVE_TO_SQS)
            except NotStored as error:
                if error.setting is None:
                    return Retry(error.reason)
                self._trouble = self._clock(), error.reason, error.setting
            else:
                return reject
            async with self._turn:
                if self._trouble is not None:
                    await self._sleep(PROBE_EVERY)

    async def drain(self, seconds: float | None = None) -> None:
        """Wait for the copies that are on their way, for so many seconds at most if given.

        One that is not there by then leaves its message unacknowledged: there may be two of it.
        """
        if self._sending:
            await asyncio.wait(self._sending, timeout=seconds)

    def _stands(self) -> bool:
        return (
            self._trouble is not None and self._clock() - self._trouble[0] < PROBLEM_EXPIRES_AFTER
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
        self._trouble = None
        self._remember(message.message_id, reject)
        self._observe(
            DeadLettered(
                message=message, code=reject.code, reason=reject.reason, complete=copy.complete
            )
        )

    def _remember(self, message_id: str, reject: Reject) -> None:
        self._remembered[message_id] = (self._clock(), reject)
        self._remembered.move_to_end(message_id)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
