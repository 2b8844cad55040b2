"""The event that AWS Lambda passes to a function whose event source is an SQS queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from relay.aws.errors import MALFORMED
from relay.aws.sqs import is_intact
from relay.aws.sqs_values import ReceivedMessage, read_message
from relay.model.outcome import shortened

SOURCE = "aws:sqs"

_PARTS = {
    "dataType": "DataType",
    "stringValue": "StringValue",
    "binaryValue": "BinaryValue",
}


class InvocationFailed(Exception):
    """The invocation has no answer, so that every message of its batch stays in the queue.

    Lambda shows the text, which starts with the stable code.
    """

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = shortened(reason)
        super().__init__(f"{code}: {self.reason}")


class Record(Struct, frozen=True):
    """One record of the event. `received` is None if it cannot be read or was damaged."""

    message_id: str
    received: ReceivedMessage | None


class Batch(Struct, frozen=True):
    """The records of one invocation, in the queue's order, and the ARN of the queue."""

    queue_arn: str
    records: tuple[Record, ...]

    @property
    def fifo(self) -> bool:
        """Whether the queue keeps the order within each message group."""
        return self.queue_arn.endswith(".fifo")


def read_event(event: object) -> Batch:
    """The batch in an event (Lambda Developer Guide, "Using Lambda with Amazon SQS").

    Raises:
        InvocationFailed: the event does not come from SQS, or a record has no MessageId. It could
            be reported neither as failed nor as done.
    """
    records = event.get("Records") if isinstance(event, Mapping) else None
    if not isinstance(records, list) or not records:
        raise _refused("it has no Records")
    arns = {_arn(record) for record in records}
    if len(arns) != 1:
        raise _refused("its records come from several queues")
    arn = arns.pop()
    queue = arn.rpartition(":")[2]
    return Batch(arn, tuple(_record(record, queue) for record in records))


def _arn(record: object) -> str:
    if not isinstance(record, Mapping) or record.get("eventSource") != SOURCE:
        raise _refused(f"a record's eventSource is not {SOURCE}")
    arn, message_id = record.get("eventSourceARN"), record.get("messageId")
    if not isinstance(arn, str) or not arn or not isinstance(message_id, str) or not message_id:
        raise _refused("a record has no messageId or no eventSourceARN")
    return arn


def _refused(why: str) -> InvocationFailed:
    return InvocationFailed(
        "not_an_sqs_event",
        f"the event is not one of an SQS queue, because {why}: make an SQS queue the only event"
        " source of this function",
    )


def _record(record: Mapping[str, Any], queue: str) -> Record:
    message_id: str = record["messageId"]
    try:
        raw = _as_received(record)
        received = ReceivedMessage(read_message(raw, queue), raw["ReceiptHandle"])
        intact = is_intact(received.message, raw)
    except MALFORMED:
        return Record(message_id, None)
    return Record(message_id, received if intact else None)


def _as_received(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record as `ReceiveMessage` would return it: Lambda only renames the fields."""
    attributes = record.get("messageAttributes") or {}
    return {
        "MessageId": record["messageId"],
        "ReceiptHandle": record["receiptHandle"],
        "Body": record["body"],
        "Attributes": record.get("attributes"),
        "MessageAttributes": {name: _attribute(value) for name, value in attributes.items()},
        "MD5OfBody": record.get("md5OfBody"),
        "MD5OfMessageAttributes": record.get("md5OfMessageAttributes"),
    }


def _attribute(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {new: raw[old] for old, new in _PARTS.items() if raw.get(old) is not None}
