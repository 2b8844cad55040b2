"""Large payloads: a message whose body only points to an object in S3, as the extended client does.

The object is never deleted here: that is the bucket's lifecycle rule's job, and a redrive weeks
later must still find it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from relay.model.message import Message
from relay.model.outcome import Reject, Retry

POINTER_CLASSES = (
    "software.amazon.payloadoffloading.PayloadS3Pointer",
    "com.amazon.sqs.javamessaging.MessageS3Pointer",
)
"""What the extended client writes first, in its newer and in its older versions."""

LIMIT = 8 * 1_048_576
"""Bytes of the largest object that is fetched."""

AT_ONCE = 8
"""Objects in memory at the same time; with the limit it bounds what they take."""

BUCKET_NOT_ALLOWED = "payload_bucket_not_allowed"
"""The code of a pointer into a bucket that the settings do not name."""

Fetch = Callable[[str, str, int], Awaitable[bytes]]
"""Reads bucket and key up to so many bytes. Raises `NotFetched`."""

_STARTS = tuple(f'["{name}"'.encode() for name in POINTER_CLASSES)


class NotFetched(Exception):
    """A payload could not be read.

    Args:
        reason: a sentence for a person.
        code: for the dead letter of a payload that can never be had; None where it is S3, a
            permission or a bucket that somebody can mend, and not this message.
    """

    def __init__(self, reason: str, code: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where the payload is."""

    bucket: str
    key: str


class Payloads:
    """Puts the payload in the place of its pointer.

    Args:
        fetch: reads an object.
        buckets: those that may be read: a pointer makes us fetch whatever it names.
        limit: bytes of the largest object that is fetched.
        at_once: how many are in memory at a time.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        buckets: frozenset[str] = frozenset(),
        limit: int = LIMIT,
        at_once: int = AT_ONCE,
    ) -> None:
        self._fetch = fetch
        self._buckets = buckets
        self._limit = limit
        self._places = asyncio.Semaphore(at_once)

    def concern(self, message: Message) -> bool:
        """Whether the message may be a pointer; all others need not be opened."""
        return message.body.lstrip().startswith(_STARTS)

    @asynccontextmanager
    async def opened(self, message: Message) -> AsyncIterator[Message | Reject | Retry]:
        """The message with its payload for as long as the block runs; others as they are.

        `Reject` where it can never be had, `Retry` where somebody can still mend it.
        """
        pointer = parse_pointer(message.body)
        if pointer is None:
            yield message
        elif isinstance(pointer, Reject):
            yield pointer
        elif pointer.bucket not in self._buckets:
            yield Reject(
                BUCKET_NOT_ALLOWED,
                f"the payload is in the bucket {pointer.bucket!r}, which RELAY_PAYLOAD_BUCKETS does"
                " not name",
            )
        else:
            async with self._places:
                yield await self._read(message, pointer)

    async def _read(self, message: Message, pointer: Pointer) -> Message | Reject | Retry:
        try:
            body = await self._fetch(pointer.bucket, pointer.key, self._limit)
        except NotFetched as error:
            return Retry(error.reason) if error.code is None else Reject(error.code, error.reason)
        return replace(message, body=body)


def parse_pointer(body: bytes) -> Pointer | Reject | None:
    """The pointer that the body is, None where it is none, `Reject` where it is a broken one."""
    text = body.lstrip()
    if not text.startswith(_STARTS):
        return None
    try:
        _, place = msgspec.json.decode(text, type=tuple[str, dict[str, str]])
        pointer = Pointer(place["s3BucketName"], place["s3Key"])
    except (msgspec.DecodeError, KeyError):
        pointer = Pointer("", "")
    if pointer.bucket and pointer.key:
        return pointer
    return Reject("bad_payload_pointer", "the pointer to the payload names no bucket or no key")
