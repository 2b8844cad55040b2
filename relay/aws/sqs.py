"""One SQS queue: receive, send, delete, change visibility, each entry with its own result."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from relay.aws.errors import AwsError, senseless, translate
from relay.aws.json_protocol import JsonClient, open_json_client
from relay.aws.references import Place, arn_of, parse_reference
from relay.aws.session import Session
from relay.aws.sqs_values import (
    BATCH_ENTRIES,
    Failed,
    Outgoing,
    QueueAttributes,
    ReceivedMessage,
    Sent,
    by_size,
    read_attributes,
    read_message,
    sort_out,
    tens,
    write_entry,
)
from relay.model.message import Attribute, Message

# A copy is made in a third of the time: a new one asks OpenSSL for the algorithm by its name.
_EMPTY = hashlib.md5(usedforsecurity=False)


def intact(message: Message, raw: Mapping[str, Any]) -> bool:
    """Whether body and attributes are what SQS hashed; a hash that is absent proves nothing."""
    body = raw.get("MD5OfBody")
    if body is not None and body != _md5(message.body):
        return False
    attributes = raw.get("MD5OfMessageAttributes")
    return attributes is None or attributes == attributes_md5(message.attributes)


def attributes_md5(attributes: Mapping[str, Attribute]) -> str:
    """The hash that SQS documents for message attributes: sorted by name, lengths first."""
    parts: list[bytes] = []
    for name in sorted(attributes):
        attribute = attributes[name]
        text = isinstance(attribute.value, str)
        raw = attribute.value
        # SQS allows no lone surrogate; a stranger's emulator may.
        value = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
        for part in (name.encode(), attribute.data_type.encode()):
            parts += (len(part).to_bytes(4, "big"), part)
        parts += (b"\x01" if text else b"\x02", len(value).to_bytes(4, "big"), value)
    return _md5(b"".join(parts))


def _md5(data: bytes) -> str:
    digest = _EMPTY.copy()
    digest.update(data)
    return digest.hexdigest()


LONGEST_WAIT = 20.0

T = TypeVar("T")
R = TypeVar("R")
_log = logging.getLogger(__name__)


class Queue:
    """A queue of SQS. A batch of any size may be given; it is split as SQS needs it.

    Every call raises `AwsError` where SQS answered for no entry at all. Where some calls of a
    split batch were answered and a later one was not, its entries come back as `Failed` with the
    error's code: the earlier results are not lost. After an error of kind `connection` an entry may
    have been carried out all the same.
    """

    def __init__(self, wire: JsonClient, url: str, arn: str) -> None:
        self.url = url
        self.arn = arn
        self.name = url.rstrip("/").rpartition("/")[2]
        self.fifo = self.name.endswith(".fifo")
        self._wire = wire

    async def attributes(self) -> QueueAttributes:
        """The queue's settings and counts as they are now."""
        answer = await self._call("GetQueueAttributes", AttributeNames=["All"])
        if not answer.get("Attributes"):
            raise senseless("sqs:GetQueueAttributes", self.url, "no attribute")
        try:
            return read_attributes(answer["Attributes"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # Whoever asks now and then must not end for one such answer.
            raise senseless("sqs:GetQueueAttributes", self.url, "no readable figure") from error

    async def receive(
        self,
        max_messages: int = BATCH_ENTRIES,
        wait: float = LONGEST_WAIT,
        visibility: float | None = None,
        attempt_id: str | None = None,
    ) -> list[ReceivedMessage]:
        """Up to ten messages, after at most `wait` seconds. Empty does not mean an empty queue.

        A message whose MD5 does not match is left out and comes again. `attempt_id` (FIFO only)
        makes a repeat of a receive with a lost answer return the same messages.
        """
        request: dict[str, Any] = {
            "MaxNumberOfMessages": min(max_messages, BATCH_ENTRIES),
            "WaitTimeSeconds": int(wait),
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        if visibility is not None:
            request["VisibilityTimeout"] = int(visibility)
        if attempt_id is not None and self.fifo:
            request["ReceiveRequestAttemptId"] = attempt_id
        answer = await self._call("ReceiveMessage", **request)
        return [found for raw in answer.get("Messages") or () if (found := self._read(raw))]

    async def send(self, entries: Sequence[Outgoing]) -> list[Sent | Failed]:
        """Send all, in order; the results have the same order."""
        return await self._batched("SendMessageBatch", by_size(entries), write_entry, _read_sent)

    async def delete(self, handles: Sequence[str]) -> list[Failed | None]:
        """Delete by handle; None where SQS agreed, which for a stale handle proves nothing."""
        return await self._batched("DeleteMessageBatch", tens(handles), _write_delete, _agreed)

    async def change_visibility(self, changes: Sequence[tuple[str, float]]) -> list[Failed | None]:
        """Hide each message for so many seconds from now; 0 makes it visible at once."""
        return await self._batched(
            "ChangeMessageVisibilityBatch", tens(changes), _write_visibility, _agreed
        )

    def _read(self, raw: Mapping[str, Any]) -> ReceivedMessage | None:
        try:
            received = ReceivedMessage(read_message(raw, self.name), raw["ReceiptHandle"])
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            # An emulator's, and it must not stop the others.
            _log.warning("a message that cannot be read is left to come again: %r", error)
            return None
        message = received.message
        if intact(message, raw):
            return received
        _log.warning("damaged on the way, left to come again: message %s", message.message_id)
        return None

    async def _batched(
        self,
        action: str,
        chunks: Iterable[Sequence[T]],
        write: Callable[[int, T], dict[str, Any]],
        read: Callable[[Mapping[str, Any]], R],
    ) -> list[R | Failed]:
        """Call for each chunk and put each entry's result in its place."""
        results: list[R | Failed] = []
        for chunk in chunks:
            entries = [write(index, item) for index, item in enumerate(chunk)]
            try:
                answer = await self._call(action, Entries=entries)
            except AwsError as error:
                if not results:
                    raise
                results += [Failed(error.code, error.sentence)] * len(chunk)
            else:
                results += sort_out(answer, len(chunk), read)
        return results

    async def _call(self, action: str, **request: Any) -> Mapping[str, Any]:
        request["QueueUrl"] = self.url
        answer: Mapping[str, Any] = await self._wire.call(action, request, self.url)
        return answer


@asynccontextmanager
async def open_queue(session: Session, reference: str) -> AsyncIterator[Queue]:
    """The queue of this URL, ARN or name, for as long as the block runs.

    A URL is taken at its word without a call; a name is looked up in the session's region and
    account. A queue of another region is reached in its own region.

    Raises:
        AwsError: there is no such queue, or it may not be looked up.
    """
    place = parse_reference(reference)
    client = await session.client("sqs", place.region)
    url = place.url or await _look_up(client, place)
    region = place.region or client.meta.region_name
    async with open_json_client(session, client.meta.endpoint_url, region) as wire:
        yield Queue(wire, url, place.arn or arn_of(url, region))


async def _look_up(client: Any, place: Place) -> str:
    request = {"QueueName": place.name}
    if place.account is not None:
        request["QueueOwnerAWSAccountId"] = place.account
    try:
        answer = await client.get_queue_url(**request)
    except Exception as error:
        raise translate(error, "sqs:GetQueueUrl", place.name) from error
    if not answer.get("QueueUrl"):
        raise senseless("sqs:GetQueueUrl", place.name, "no URL")
    return str(answer["QueueUrl"])


def _write_delete(index: int, handle: str) -> dict[str, Any]:
    return {"Id": str(index), "ReceiptHandle": handle}


def _write_visibility(index: int, change: tuple[str, float]) -> dict[str, Any]:
    handle, seconds = change
    return {"Id": str(index), "ReceiptHandle": handle, "VisibilityTimeout": int(seconds)}


def _read_sent(raw: Mapping[str, Any]) -> Sent:
    return Sent(raw["MessageId"], raw.get("SequenceNumber"))


def _agreed(_raw: Mapping[str, Any]) -> None:
    """Deletes and visibility changes answer with nothing but the entry's id."""
