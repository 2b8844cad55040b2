"""Opens messages: decodes their bodies within a limit of memory, and large ones one after another.

A message can be much larger when it is open than in the queue: its body is compressed, or a pointer
to an object, or it has thousands of events. The source counts messages as they arrive. This counts
what they become, in push mode too, where the relay cannot choose what arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from relay.delivery.in_flight import InFlightMessage
from relay.delivery.payloads import MAX_BYTES, Payloads
from relay.envelope import Decoded
from relay.model.encoded_body import COMPRESSED, UNPACKED_LIMIT
from relay.model.message import Message
from relay.model.origin import ATTRIBUTE, LARGEST_CACHED, UnreadableOrigin, unpack
from relay.model.outcome import Reject, Retry

SMALL = 4_096
"""Bytes of a body that is opened at once and not counted, as most are."""

FEW = 8
"""Events of a small message that are not counted."""

EVENT_BYTES = 3_072
"""Bytes that an event in flight takes besides its data (measured): its ids, a task and a future."""

ROUND_BYTES = 65_536
"""Bytes of large bodies that are decoded before the event loop turns to other work."""

STARTED_AT_ONCE = 500
"""Tasks for a message's events that are started before the event loop turns to other work."""

MAX_EVENTS = 5_000
SIZE = 64 * 1_048_576

_NOT_OPENED = Reject("expiring", "the queue was about to delete the message before it was opened")


class OpenBytes:
    """Counts the bytes of open messages. Reservations are granted in order.

    Args:
        size: the most bytes; one message is always allowed.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.used = 0
        self._order = asyncio.Lock()
        self._released = asyncio.Event()

    async def reserve(self, size: int) -> bool:
        """Wait until there is room, and take it. Cancelling it takes nothing. Returns True."""
        async with self._order:
            while self.used and self.used + size > self._size:
                self._released.clear()
                await self._released.wait()
            self.used += size
        return True

    def release(self, size: int) -> None:
        """Give back so many bytes."""
        self.used -= size
        self._released.set()


class Opening:
    """Opens messages.

    Args:
        decode: a message's events.
        payloads: fetches large payloads; None to leave pointers as they are.
        size: the most bytes of open messages, without the small ones.
        max_events: the most events that `decode` accepts in one message.
    """

    def __init__(
        self,
        decode: Callable[[Message], Decoded | Reject],
        payloads: Payloads | None = None,
        *,
        size: int = SIZE,
        max_events: int = MAX_EVENTS,
    ) -> None:
        self._decode = decode
        self._payloads = payloads
        self._max_events = max_events
        self._bytes = OpenBytes(size)
        self._decoding = asyncio.Lock()
        self._in_round = 0

    @property
    def used(self) -> int:
        """The bytes of open messages, without the small ones."""
        return self._bytes.used

    def open_small(self, message: Message) -> Decoded | Reject | None:
        """The events of a small message; None if it takes more than that, and needs `opened`."""
        if len(message.body) > SMALL or (message.attributes and _origin(message)):
            return None
        if self._payloads is not None and self._payloads.may_be_pointer(message):
            return None
        decoded = self._decode(message)
        return None if type(decoded) is Decoded and len(decoded.events) > FEW else decoded

    @asynccontextmanager
    async def opened(self, item: InFlightMessage) -> AsyncIterator[Decoded | Reject | Retry]:
        """The events of a message, which are counted for as long as the block runs.

        Waits while too many bytes are open. `Reject` as `expiring` if the message expires first.
        A caller that keeps a rejected message leaves the block: nothing of it is open.
        """
        reserved = self._most_bytes(item.message)
        if not await item.unless_expired(self._bytes.reserve(reserved)):
            yield _NOT_OPENED
            return
        try:
            decoded = await self._opened(item.message)
            opened = _bytes_of(decoded)
            self._bytes.release(reserved - opened)
            reserved = opened
            yield decoded
        finally:
            self._bytes.release(reserved)

    async def _opened(self, message: Message) -> Decoded | Reject | Retry:
        if self._payloads is None or not self._is_pointer(message):
            return await self._decoded(message)
        async with self._payloads.opened(message) as loaded:
            return await self._decoded(loaded) if isinstance(loaded, Message) else loaded

    async def _decoded(self, message: Message) -> Decoded | Reject:
        """Decode one message at a time, and let the event loop turn in between."""
        async with self._decoding:
            self._in_round += _bytes_to_parse(message)
            if self._in_round >= ROUND_BYTES:
                self._in_round = 0
                await asyncio.sleep(0)
            return self._decode(message)

    def _is_pointer(self, message: Message) -> bool:
        return self._payloads is not None and self._payloads.may_be_pointer(message)

    def _most_bytes(self, message: Message) -> int:
        """The most that the message can take when it is open."""
        if self._is_pointer(message):
            return MAX_BYTES + self._max_events * EVENT_BYTES
        if _may_be_compressed(message):
            return UNPACKED_LIMIT + self._max_events * EVENT_BYTES
        # Each event is an object. Inside of SNS, its brace may be escaped.
        objects = message.body.count(b"{") + message.body.count(b"\\u007")
        return len(message.body) + min(objects, self._max_events) * EVENT_BYTES


async def for_each(count: int, work: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Do the work for each number below `count`, all at a time, starting them in slices."""
    tasks = list[asyncio.Task[None]]()
    try:
        for number in range(count):
            tasks.append(asyncio.create_task(work(number)))
            if number % STARTED_AT_ONCE == STARTED_AT_ONCE - 1:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        raise


def _origin(message: Message) -> str | bytes | None:
    """The text of the message's origin, which a producer may have written."""
    if not message.attributes:
        return None
    attribute = message.attribute(ATTRIBUTE)
    return None if attribute is None else attribute.value


def _may_be_compressed(message: Message) -> bool:
    origin = _origin(message)
    if not origin:
        return False
    if len(origin) > LARGEST_CACHED:
        return True  # it is not worth parsing it twice
    try:
        return unpack(origin).encoding == COMPRESSED
    except UnreadableOrigin:
        return False


def _bytes_to_parse(message: Message) -> int:
    if _may_be_compressed(message):
        return UNPACKED_LIMIT
    return len(message.body) + len(_origin(message) or "")


def _bytes_of(decoded: Decoded | Reject | Retry) -> int:
    """What the message takes from now on."""
    if not isinstance(decoded, Decoded):
        return 0
    data = sum(
        len(event.data or b"") + len(event.user or b"") + len(event.meta or b"")
        for event in decoded.events
    )
    return data + (len(decoded.events) + len(decoded.rejects)) * EVENT_BYTES
