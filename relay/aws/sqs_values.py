"""The values of SQS requests and responses, and the splitting of batches."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from msgspec import Struct

from relay.aws.errors import MALFORMED, kind_of, read_text
from relay.model.message import Attribute, Message

BATCH_ENTRIES = 10
BATCH_BYTES = 1_048_576
"""The AWS quota for one message and for a whole batch, since August 2025."""

LARGEST = 10**15
"""No number that SQS sends is larger; the largest are times in milliseconds."""

_INDEX_BY_ID = {str(index): index for index in range(BATCH_ENTRIES)}

T = TypeVar("T")
R = TypeVar("R")


class ReceivedMessage(Struct, frozen=True):
    """A message and its receipt handle, which is a new one at each receive."""

    message: Message
    handle: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to send. `delay` is in whole seconds; FIFO queues accept none."""

    body: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    group_id: str | None = None
    dedup_id: str | None = None
    delay: int | None = None
    trace_header: str | None = None

    @property
    def size(self) -> int:
        """The bytes that count towards SQS's limits: body and attributes, not the trace header."""
        return len(self.body.encode("utf-8", "surrogatepass")) + sum(
            len(name.encode()) + len(attribute.data_type.encode()) + len(_bytes(attribute.value))
            for name, attribute in self.attributes.items()
        )


@dataclass(frozen=True, slots=True)
class Sent:
    """SQS has the message under this id. On a FIFO queue it may be that of an earlier duplicate."""

    message_id: str
    sequence_number: str | None = None


class Failed(Struct, frozen=True):
    """One entry of a batch failed. `sender_fault` is SQS's own statement of whose fault it was."""

    code: str
    sentence: str
    sender_fault: bool = False

    @property
    def permanent(self) -> bool:
        """Whether a retry is pointless. SQS calls throttling a sender fault too, but it ends."""
        return self.sender_fault and kind_of(self.code) == "other"


@dataclass(frozen=True, slots=True)
class RedrivePolicy:
    """Where SQS moves a message instead of its receive number `max_receive_count` + 1."""

    target_arn: str
    max_receive_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueAttributes:
    """A queue's attributes. Durations are seconds, sizes are bytes, counts are approximate."""

    arn: str
    visibility: float
    retention: float
    delay: float
    wait: float
    maximum_size: int
    fifo: bool
    content_dedup: bool
    visible: int
    in_flight: int
    delayed: int
    redrive: RedrivePolicy | None
    kms_key: str | None
    policy: str | None
    raw: Mapping[str, str]


def read_attributes(answer: Mapping[str, Any]) -> QueueAttributes:
    """The response of `GetQueueAttributes`. What an emulator leaves out has SQS's default.

    Raises:
        MALFORMED: an attribute is no text, or not the number that it must be.
    """
    raw = {name: read_text(value) for name, value in answer.items()}
    return QueueAttributes(
        arn=raw.get("QueueArn", ""),
        visibility=_figure(raw, "VisibilityTimeout", 30),
        retention=_figure(raw, "MessageRetentionPeriod", 345_600, least=1),
        delay=_figure(raw, "DelaySeconds", 0),
        wait=_figure(raw, "ReceiveMessageWaitTimeSeconds", 0),
        maximum_size=_figure(raw, "MaximumMessageSize", 1_048_576, least=1),
        fifo=raw.get("FifoQueue") == "true",
        content_dedup=raw.get("ContentBasedDeduplication") == "true",
        visible=_figure(raw, "ApproximateNumberOfMessages", 0),
        in_flight=_figure(raw, "ApproximateNumberOfMessagesNotVisible", 0),
        delayed=_figure(raw, "ApproximateNumberOfMessagesDelayed", 0),
        redrive=_redrive(raw.get("RedrivePolicy")),
        kms_key=raw.get("KmsMasterKeyId") or None,
        policy=raw.get("Policy") or None,
        raw=raw,
    )


def _figure(raw: Mapping[str, str], name: str, default: int, *, least: int = 0) -> int:
    value = int(float(raw.get(name, default)))
    if not least <= value <= LARGEST:
        raise ValueError(f"{name} is {value}")
    return value


def read_message(raw: Mapping[str, Any], queue: str) -> Message:
    """One message of a `ReceiveMessage` response, whose binary values are in base64.

    Raises:
        MALFORMED: a part is missing or has another type.
    """
    message_id: str = raw["MessageId"]
    handle: str = raw["ReceiptHandle"]
    system: Mapping[str, str] = raw.get("Attributes") or {}
    # Fails for anything but texts, at a tenth of the time of a check for each.
    "".join((message_id, handle, *system.values()))
    if not message_id or not handle:
        raise ValueError("an empty MessageId or receipt handle")
    count, sent, first = _figures(system)
    return Message(
        # SQS allows no lone surrogates. Some emulators do; decoding then rejects the body.
        body=raw["Body"].encode("utf-8", "surrogatepass"),
        message_id=message_id,
        queue=queue,
        attributes={
            name: _read_attribute(value)
            for name, value in (raw.get("MessageAttributes") or {}).items()
        },
        receive_count=count,
        sent_at=None if sent is None else sent / 1_000,
        first_received_at=None if first is None else first / 1_000,
        group_id=system.get("MessageGroupId"),
        dedup_id=system.get("MessageDeduplicationId"),
        sequence_number=system.get("SequenceNumber"),
        trace_header=system.get("AWSTraceHeader"),
        dead_letter_source=system.get("DeadLetterQueueSourceArn"),
    )


def write_entry(index: int, message: Outgoing) -> dict[str, Any]:
    """One entry of `SendMessageBatch`. Its id is its index, because a message may occur twice."""
    entry: dict[str, Any] = {"Id": str(index), "MessageBody": message.body}
    if message.attributes:
        entry["MessageAttributes"] = {
            name: {"DataType": attribute.data_type, **_write_value(attribute.value)}
            for name, attribute in message.attributes.items()
        }
    if message.trace_header is not None:
        entry["MessageSystemAttributes"] = {
            "AWSTraceHeader": {"DataType": "String", "StringValue": message.trace_header}
        }
    optional = {
        "MessageGroupId": message.group_id,
        "MessageDeduplicationId": message.dedup_id,
        "DelaySeconds": message.delay,
    }
    entry.update((key, value) for key, value in optional.items() if value is not None)
    return entry


def _read_attribute(raw: Mapping[str, Any]) -> Attribute:
    binary = raw.get("BinaryValue")
    value = read_text(raw.get("StringValue", "")) if binary is None else base64.b64decode(binary)
    return Attribute(read_text(raw["DataType"]), value)


def _write_value(value: str | bytes) -> dict[str, str | bytes]:
    return {"StringValue": value} if isinstance(value, str) else {"BinaryValue": value}


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")


def _figures(system: Mapping[str, str]) -> tuple[int, int | None, int | None]:
    """The receive count, and the times of sending and of the first receive in milliseconds."""
    texts = system.get("SentTimestamp"), system.get("ApproximateFirstReceiveTimestamp")
    count = int(system.get("ApproximateReceiveCount", 1))
    sent = None if texts[0] is None else int(texts[0])
    first = None if texts[1] is None else int(texts[1])
    if min(count, sent or 0, first or 0) < 0 or max(count, sent or 0, first or 0) > LARGEST:
        raise ValueError("a number that SQS never sends")
    return count, sent, first


def _count(text: str) -> int:
    count = int(text)
    if not 0 <= count <= LARGEST:
        raise ValueError("a number that SQS never sends")
    return count


def _redrive(raw: str | None) -> RedrivePolicy | None:
    if not raw:
        return None
    policy = json.loads(raw)
    return RedrivePolicy(
        read_text(policy["deadLetterTargetArn"]), _count(str(policy["maxReceiveCount"]))
    )


def batches_of_ten(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items in order, at most ten at a time."""
    for start in range(0, len(items), BATCH_ENTRIES):
        yield items[start : start + BATCH_ENTRIES]


def batches_by_size(messages: Sequence[Outgoing]) -> Iterator[Sequence[Outgoing]]:
    """The messages in order, in batches that SQS accepts. One that exceeds the limit is alone."""
    batch: list[Outgoing] = []
    total = 0
    for message in messages:
        size = message.size
        if batch and (len(batch) == BATCH_ENTRIES or total + size > BATCH_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(message)
        total += size
    if batch:
        yield batch


def match_results(
    answer: Mapping[str, Any], count: int, read: Callable[[Mapping[str, Any]], R]
) -> list[R | Failed]:
    """The result of each entry, by its index. An entry without a readable result has failed.

    Raises:
        MALFORMED: the response has no lists of results.
    """
    results: dict[int, R | Failed] = {}
    for raw in answer.get("Successful") or ():
        try:
            results[_index(raw)] = read(raw)
        except MALFORMED:
            continue
    for raw in answer.get("Failed") or ():
        with suppress(*MALFORMED):
            code, fault = str(raw.get("Code", "Unknown")), raw.get("SenderFault") is True
            results[_index(raw)] = Failed(code, str(raw.get("Message") or code), fault)
    unanswered = Failed("Unanswered", "SQS returned no result for it")
    return [results.get(index, unanswered) for index in range(count)]


def _index(raw: Mapping[str, Any]) -> int:
    """The index of the entry that a result belongs to, or -1."""
    return _INDEX_BY_ID.get(raw.get("Id", ""), -1)
