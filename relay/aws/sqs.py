"""The client of one SQS queue: receive, send, delete and change visibility, in batches."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from relay.aws.errors import MALFORMED, AwsError, invalid_response, read_text, reading
from relay.aws.json_protocol import JsonClient, open_json_client
from relay.aws.references import QueueLocation, arn_of, endpoint_of, parse_reference
from relay.aws.session import Session
from relay.aws.sqs_values import (
    BATCH_ENTRIES,
    Failed,
    Outgoing,
    QueueAttributes,
    ReceivedMessage,
    Sent,
    batches_by_size,
    batches_of_ten,
    match_results,
    read_attributes,
    read_message,
    write_entry,
)
from relay.model.message import Attribute, Message

LONGEST_WAIT = 20.0

T = TypeVar("T")
R = TypeVar("R")
_log = logging.getLogger(__name__)

# Copied for each hash, in a third of the time: creating one looks the algorithm up by its name.
_EMPTY_MD5 = hashlib.md5(usedforsecurity=False)


class Queue:
    """An SQS queue. Batches of any size are split into requests as SQS requires.

    Every method raises `AwsError` if SQS answered for no entry at all. If a later request of a
    split batch fails, its entries are `Failed` with the error's code, so that the earlier results
    are not lost. After an error of kind `connection` an entry may have been carried out all the
    same.
    """

    def __init__(self, client: JsonClient, url: str, arn: str) -> None:
        self.url = url
        self.arn = arn
        self.name = url.rstrip("/").rpartition("/")[2]
        self.fifo = self.name.endswith(".fifo")
        self._client = client

    @property
    def endpoint(self) -> str:
        """Where the queue is called: scheme, host and port."""
        return self._client.endpoint

    @property
    def account(self) -> str:
        """The AWS account that owns the queue."""
        return self.arn.split(":")[4]

    async def attributes(self) -> QueueAttributes:
        """The queue's current settings and counts."""
        answer = await self._call("GetQueueAttributes", AttributeNames=["All"])
        if not answer.get("Attributes"):
            raise invalid_response("sqs:GetQueueAttributes", self.url, "attribute")
        with reading("sqs:GetQueueAttributes", self.url):
            return read_attributes(answer["Attributes"])

    async def receive(
        self,
        max_messages: int = BATCH_ENTRIES,
        wait: float = LONGEST_WAIT,
        visibility: float | None = None,
        attempt_id: str | None = None,
    ) -> list[ReceivedMessage]:
        """Up to ten messages, after at most `wait` seconds. None do not mean an empty queue.

        A message that cannot be read, or whose MD5 does not match, is left out: it is received
        again later. With the same
        `attempt_id` (FIFO only) a repeated receive after a lost answer returns the same messages.
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
        messages = answer.get("Messages") or []
        if type(messages) is not list:
            raise invalid_response("sqs:ReceiveMessage", self.url, "list of messages")
        received = []
        messages.reverse()
        while messages:  # so that of one message at a time both the text and the body exist
            found = self._read(messages.pop())
            if found is not None:
                received.append(found)
        return received

    async def send(self, entries: Sequence[Outgoing]) -> list[Sent | Failed]:
        """Send all, in order. The results are in the order of the entries."""
        return await self._batched(
            "SendMessageBatch", batches_by_size(entries), write_entry, _read_sent
        )

    async def delete(self, handles: Sequence[str]) -> list[Failed | None]:
        """Delete by handle. None is a success, which proves nothing for an old handle."""
        return await self._batched(
            "DeleteMessageBatch", batches_of_ten(handles), _write_delete, _no_result
        )

    async def change_visibility(self, changes: Sequence[tuple[str, float]]) -> list[Failed | None]:
        """Hide each message for so many seconds; 0 makes it visible at once. None is a success."""
        return await self._batched(
            "ChangeMessageVisibilityBatch", batches_of_ten(changes), _write_visibility, _no_result
        )

    async def tags(self) -> dict[str, str]:
        """The queue's tags. SQS grants this to no other account, whatever the policies say."""
        answer = await self._call("ListQueueTags")
        with reading("sqs:ListQueueTags", self.url):
            tags = answer.get("Tags") or {}
            return {name: read_text(value) for name, value in tags.items()}

    async def tag(self, name: str, value: str) -> None:
        """Set a tag: at most 256 letters, digits, spaces and `_.:/=+-@`."""
        await self._call("TagQueue", Tags={name: value})

    async def untag(self, name: str) -> None:
        """Remove a tag, if the queue has it."""
        await self._call("UntagQueue", TagKeys=[name])

    async def sources(self) -> list[str]:
        """The URLs of the queues whose dead-letter queue this is, or the first thousand of them."""
        answer = await self._call("ListDeadLetterSourceQueues")
        with reading("sqs:ListDeadLetterSourceQueues", self.url):
            return [read_text(url) for url in answer.get("queueUrls") or ()]

    def _read(self, raw: Mapping[str, Any]) -> ReceivedMessage | None:
        try:
            received = ReceivedMessage(read_message(raw, self.name), raw["ReceiptHandle"])
            intact = is_intact(received.message, raw)
        except MALFORMED as error:
            # Some emulators send such messages, and one must not stop the others.
            _log.warning(
                "skipped a message that cannot be read, it will be received again: %.200r", error
            )
            return None
        if intact:
            return received
        _log.warning(
            "skipped a message that was damaged in transit, it will be received again: %s",
            received.message.message_id,
        )
        return None

    async def _batched(
        self,
        action: str,
        chunks: Iterable[Sequence[T]],
        write: Callable[[int, T], dict[str, Any]],
        read: Callable[[Mapping[str, Any]], R],
    ) -> list[R | Failed]:
        """Send a request for each chunk. The results are in the order of the entries."""
        results: list[R | Failed] = []
        for chunk in chunks:
            entries = [write(index, item) for index, item in enumerate(chunk)]
            try:
                answer = await self._call(action, Entries=entries)
                with reading(f"sqs:{action.removesuffix('Batch')}", self.url):
                    results += match_results(answer, len(chunk), read)
            except AwsError as error:
                if not results:
                    raise
                results += [Failed(error.code, error.sentence)] * len(chunk)
        return results

    async def _call(self, action: str, **request: Any) -> Mapping[str, Any]:
        request["QueueUrl"] = self.url
        answer: Mapping[str, Any] = await self._client.call(action, request, self.url)
        return answer


@asynccontextmanager
async def open_queue(session: Session, reference: str) -> AsyncIterator[Queue]:
    """The queue with this URL, ARN or name, for the duration of the block.

    A URL is used without a call, and decides the region and the endpoint of its calls; an endpoint
    in the environment or the profile wins. A name is looked up in the session's region and account.

    Raises:
        AwsError: the queue does not exist or may not be looked up.
    """
    location = parse_reference(reference)
    endpoint = endpoint_of(location.url) if location.url else None
    called, found = await session.locate("sqs", location.region, endpoint)
    region = location.region or found
    async with open_json_client(session, called, region) as client:
        url = location.url or await _look_up(client, location)
        yield Queue(client, url, location.arn or arn_of(url, region))


async def _look_up(client: JsonClient, location: QueueLocation) -> str:
    request = {"QueueName": location.name}
    if location.account is not None:
        request["QueueOwnerAWSAccountId"] = location.account
    url = (await client.call("GetQueueUrl", request, location.name)).get("QueueUrl")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise invalid_response("sqs:GetQueueUrl", location.name, "URL")
    return url


def _write_delete(index: int, handle: str) -> dict[str, Any]:
    return {"Id": str(index), "ReceiptHandle": handle}


def _write_visibility(index: int, change: tuple[str, float]) -> dict[str, Any]:
    handle, seconds = change
    return {"Id": str(index), "ReceiptHandle": handle, "VisibilityTimeout": int(seconds)}


def _read_sent(raw: Mapping[str, Any]) -> Sent:
    number = raw.get("SequenceNumber")
    return Sent(read_text(raw["MessageId"]), None if number is None else str(number))


def _no_result(_raw: Mapping[str, Any]) -> None:
    """A successful delete or visibility change returns only the entry's id."""


def is_intact(message: Message, raw: Mapping[str, Any]) -> bool:
    """Whether body and attributes match the MD5 of SQS. A missing hash counts as a match."""
    body = raw.get("MD5OfBody")
    if body is not None and body != _md5(message.body):
        return False
    attributes = raw.get("MD5OfMessageAttributes")
    return attributes is None or attributes == attributes_md5(message.attributes)


def attributes_md5(attributes: Mapping[str, Attribute]) -> str:
    """The MD5 of message attributes as SQS documents it: sorted by name, with lengths."""
    parts: list[bytes] = []
    for name in sorted(attributes):
        attribute = attributes[name]
        text = isinstance(attribute.value, str)
        raw = attribute.value
        # SQS allows no lone surrogates, but some emulators do.
        value = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
        for part in (name.encode(), attribute.data_type.encode()):
            parts += (len(part).to_bytes(4, "big"), part)
        parts += (b"\x01" if text else b"\x02", len(value).to_bytes(4, "big"), value)
    return _md5(b"".join(parts))


def _md5(data: bytes) -> str:
    digest = _EMPTY_MD5.copy()
    digest.update(data)
    return digest.hexdigest()
