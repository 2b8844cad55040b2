"""Large payloads: fetches the S3 object to which a message of SQS's extended client points.

The object is never deleted here. The bucket's lifecycle rule does that, and a redrive weeks later
must still find it.
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
"""The first element of the extended client's body, in its newer and in its older versions."""

MAX_BYTES = 8 * 1_048_576
"""Bytes of the largest object that is fetched."""

CONCURRENCY = 8
"""Objects in memory at the same time; with `MAX_BYTES` it bounds their memory."""

BUCKET_NOT_ALLOWED = "payload_bucket_not_allowed"
"""The code of a pointer into a bucket that the settings do not name."""

Fetch = Callable[[str, str, int], Awaitable[bytes]]
"""Reads bucket and key up to so many bytes. Raises `NotFetched`."""

_STARTS = tuple(f'["{name}"'.encode() for name in POINTER_CLASSES)


class NotFetched(Exception):
    """A payload could not be read.

    Args:
        reason: a sentence for a person.
        code: the reject code if the payload can never be fetched; None if the cause is S3, a
            permission or a bucket, which can be fixed, and not this message.
    """

    def __init__(self, reason: str, code: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


@dataclass(frozen=True, slots=True)
class Pointer:
    """The bucket and key of a payload."""

    bucket: str
    key: str


class Payloads:
    """Replaces pointers by their payloads.

    Args:
        fetch: reads an object.
        buckets: those that may be read: whoever sends a pointer chooses what is fetched.
        limit: bytes of the largest object that is fetched.
        concurrency: the most objects in memory at a time.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        buckets: frozenset[str] = frozenset(),
        limit: int = MAX_BYTES,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self._fetch = fetch
        self._buckets = buckets
        self._limit = limit
        self._slots = asyncio.Semaphore(concurrency)

    def may_be_pointer(self, message: Message) -> bool:
        """Whether the message may be a pointer. Other messages need no `opened`."""
        return message.body.lstrip().startswith(_STARTS)

    @asynccontextmanager
    async def opened(self, message: Message) -> AsyncIterator[Message | Reject | Retry]:
        """The message with its payload, for as long as the block runs; other messages unchanged.

        `Reject` if the payload can never be fetched, `Retry` if the cause can be fixed.
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
            async with self._slots:
                yield await self._read(message, pointer)

    async def _read(self, message: Message, pointer: Pointer) -> Message | Reject | Retry:
        try:
            body = await self._fetch(pointer.bucket, pointer.key, self._limit)
        except NotFetched as error:
            return Retry(error.reason) if error.code is None else Reject(error.code, error.reason)
        return replace(message, body=body)


def parse_pointer(body: bytes) -> Pointer | Reject | None:
    """The pointer; None if the body is not a pointer, `Reject` if it is a broken one."""
    text = body.lstrip()
    if not text.startswith(_STARTS):
        return None
    try:
        _, fields = msgspec.json.decode(text, type=tuple[str, dict[str, str]])
        pointer = Pointer(fields["s3BucketName"], fields["s3Key"])
    except (msgspec.DecodeError, KeyError):
        pointer = Pointer("", "")
    if pointer.bucket and pointer.key:
        return pointer
    return Reject("bad_payload_pointer", "the pointer to the payload names no bucket or no key")
