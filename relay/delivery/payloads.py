"""Large payloads: fetches the S3 object to which a message of SQS's extended client points.

The object is never deleted here. The bucket's lifecycle rule does that, and a redrive weeks later
must still find it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from relay.model.message import Message
from relay.model.outcome import Reject, Retry, shortened

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

_MARK = b"S3Pointer"
"""In the names of both classes: what does not contain it is no pointer."""

_LIST = re.compile(rb"\s*\[\s*\"(?:" + "|".join(map(re.escape, POINTER_CLASSES)).encode() + rb')"')


class NotFetched(Exception):
    """A payload could not be read.

    Args:
        reason: a sentence for a person.
        code: the reject code if the payload can never be fetched; None if the cause is S3, a
            permission or a bucket, which can be fixed, and not this message.
    """

    def __init__(self, reason: str, code: str | None = None) -> None:
        self.reason = shortened(reason)
        super().__init__(self.reason)
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
        return _MARK in message.body

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
            payload = await self._fetch(pointer.bucket, pointer.key, self._limit)
        except NotFetched as error:
            return Retry(error.reason) if error.code is None else Reject(error.code, error.reason)
        return replace(message, body=_with_payload(message.body, payload))


class _Notification(msgspec.Struct):
    """What SNS puts around a message, unless raw delivery is enabled."""

    type: str = msgspec.field(name="Type", default="")
    message: str = msgspec.field(name="Message", default="")


class _Fields(msgspec.Struct):
    """The second element of a pointer. Other members are ignored."""

    bucket: str = msgspec.field(name="s3BucketName", default="")
    key: str = msgspec.field(name="s3Key", default="")


def pointer_text(pointer: Pointer) -> str:
    """The body of a message whose payload is there."""
    fields = {"s3BucketName": pointer.bucket, "s3Key": pointer.key}
    return msgspec.json.encode([POINTER_CLASSES[0], fields]).decode()


def parse_pointer(body: bytes) -> Pointer | Reject | None:
    """The pointer in the body, or in the SNS notification that it is.

    None if there is no pointer, `Reject` if it is a broken one.
    """
    text = _pointer_text(body)
    if text is None:
        return None
    with suppress(ValueError, IndexError, RecursionError):
        fields = msgspec.json.decode(
            msgspec.json.decode(text, type=list[msgspec.Raw])[1], type=_Fields
        )
        if fields.bucket and fields.key:
            return Pointer(fields.bucket, fields.key)
    return Reject("bad_payload_pointer", "the pointer to the payload names no bucket or no key")


def _pointer_text(body: bytes) -> bytes | None:
    """The JSON of the pointer, whatever is around it; None if there is none."""
    if _MARK not in body:
        return None
    if _LIST.match(body):
        return body
    found = _notification(body)
    text = found.message.encode("utf-8", "surrogatepass") if found else b""
    return text if _LIST.match(text) else None


def _notification(body: bytes) -> _Notification | None:
    try:
        found = msgspec.json.decode(body, type=_Notification)
    except (ValueError, RecursionError):
        return None
    return found if found.type == "Notification" else None


def _with_payload(body: bytes, payload: bytes) -> bytes:
    """The payload in place of the pointer to it.

    A notification stays around it, because an event's id may come from there. A payload that is no
    text does not fit into one, and is refused as it is when it is decoded.
    """
    if _notification(body) is None:
        return payload
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return payload
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    fields["Message"] = msgspec.Raw(msgspec.json.encode(text))
    return msgspec.json.encode(fields)
