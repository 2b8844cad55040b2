"""Queue attributes: their allowed values, their defaults, and their parsed form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relay.local.sqs.errors import SqsError, invalid_value

# Minimum, maximum and default, from the API reference of SetQueueAttributes.
_NUMBERS = {
    "DelaySeconds": (0, 900, 0),
    "MaximumMessageSize": (1_024, 1_048_576, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600, 345_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20, 0),
    "VisibilityTimeout": (0, 43_200, 30),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400, 300),
}
_ALWAYS = {
    "DelaySeconds",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "VisibilityTimeout",
}
_CHOICES = {
    "FifoQueue": ("true", "false"),
    "ContentBasedDeduplication": ("true", "false"),
    "SqsManagedSseEnabled": ("true", "false"),
    "DeduplicationScope": ("queue", "messageGroup"),
    "FifoThroughputLimit": ("perQueue", "perMessageGroupId"),
}
_FIFO_DEFAULTS = {
    "FifoQueue": "true",
    "ContentBasedDeduplication": "false",
    "DeduplicationScope": "queue",
    "FifoThroughputLimit": "perQueue",
}
_HIGH_THROUGHPUT = {"DeduplicationScope", "FifoThroughputLimit"}
_TWO_ENCRYPTIONS = (
    "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS "
    "SSE or SQS SSE."
)
_DOCUMENTS = {"Policy", "RedrivePolicy", "RedriveAllowPolicy"}
SETTABLE = {*_NUMBERS, *_CHOICES, *_DOCUMENTS, "KmsMasterKeyId"}
COMPUTED = {
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
}
_MAX_RECEIVE_COUNT = 1_000


@dataclass(frozen=True, slots=True)
class Redrive:
    """A redrive policy: the dead-letter queue's ARN, and the most receives before the move."""

    target: str
    max_receive_count: int


class QueueAttributes:
    """The settable attributes of one queue, as strings for clients and parsed for the queue."""

    def __init__(self, *, fifo: bool) -> None:
        self.fifo = fifo
        self.values = {name: str(_NUMBERS[name][2]) for name in _ALWAYS}
        self.values["SqsManagedSseEnabled"] = "true"
        if fifo:
            self.values |= _FIFO_DEFAULTS
        self._read()

    def update(self, wanted: Mapping[str, str]) -> None:
        """Set these attributes, all or none. An empty document or KMS key removes the attribute.

        Raises:
            SqsError: for the first name or value that SQS would reject.
        """
        checked = {name: self._checked(name, value) for name, value in wanted.items()}
        if checked.get("KmsMasterKeyId"):
            if checked.get("SqsManagedSseEnabled") == "true":
                raise SqsError("InvalidAttributeName", _TWO_ENCRYPTIONS)
            checked["SqsManagedSseEnabled"] = "false"
        self.values |= checked
        for name in _DOCUMENTS | {"KmsMasterKeyId"}:
            if not self.values.get(name, "-"):
                del self.values[name]
        if "KmsMasterKeyId" not in self.values:
            self.values.pop("KmsDataKeyReusePeriodSeconds", None)
        self._read()

    def _checked(self, name: str, value: str) -> str:
        if name not in SETTABLE:
            raise SqsError("InvalidAttributeName", f"Unknown Attribute {name}.")
        if name in _NUMBERS:
            return _number(name, value)
        if name in _CHOICES:
            return self._choice(name, value)
        if name in _DOCUMENTS and value:
            return _document(name, value)
        return value

    def _choice(self, name: str, value: str) -> str:
        lowered = value.lower() if name in ("FifoQueue", "ContentBasedDeduplication") else value
        if lowered not in _CHOICES[name]:
            raise _bad_value(name)
        if name in _FIFO_DEFAULTS and not self.fifo:
            raise _fifo_only(name)
        if name == "FifoQueue" and (lowered == "true") is not self.fifo:
            raise _bad_value(name, " Reason: Modifying queue type is not supported.")
        return lowered

    def _read(self) -> None:
        values = self.values
        self.delay = float(values["DelaySeconds"])
        self.max_size = int(values["MaximumMessageSize"])
        self.retention = float(values["MessageRetentionPeriod"])
        self.wait = float(values["ReceiveMessageWaitTimeSeconds"])
        self.visibility = float(values["VisibilityTimeout"])
        self.content_based = values.get("ContentBasedDeduplication") == "true"
        self.dedup_by_group = values.get("DeduplicationScope") == "messageGroup"
        self.redrive = read_redrive(values.get("RedrivePolicy"))


def read_redrive(policy: str | None) -> Redrive | None:
    """Parse a redrive policy; None if there is none.

    Raises:
        SqsError: it has no target, or no count from 1 to 1,000.
    """
    if not policy:
        return None
    parsed = _object("RedrivePolicy", policy)
    target, count = parsed.get("deadLetterTargetArn"), str(parsed.get("maxReceiveCount", ""))
    if not isinstance(target, str) or not target:
        reason = "Redrive policy does not contain mandatory attribute: deadLetterTargetArn."
        raise invalid_value("RedrivePolicy", policy, reason)
    if not count.isdecimal() or not 1 <= int(count) <= _MAX_RECEIVE_COUNT:
        reason = f"Invalid value for maxReceiveCount: {count}, valid values are from 1 to 1000."
        raise invalid_value("RedrivePolicy", policy, reason)
    return Redrive(target, int(count))


def allows_source(allow_policy: str | None, source_arn: str) -> bool:
    """Whether this RedriveAllowPolicy lets that source use the queue as its dead-letter queue."""
    if not allow_policy:
        return True
    parsed = json.loads(allow_policy)
    permission = parsed.get("redrivePermission", "allowAll")
    if permission == "byQueue":
        return source_arn in parsed.get("sourceQueueArns", [])
    return bool(permission == "allowAll")


def _number(name: str, value: str) -> str:
    lowest, highest, _ = _NUMBERS[name]
    if not value.isdecimal() or not lowest <= int(value) <= highest:
        raise _bad_value(name)
    return str(int(value))


def _document(name: str, value: str) -> str:
    parsed = _object(name, value)
    if name == "RedrivePolicy":
        read_redrive(value)
    permissions = ("allowAll", "denyAll", "byQueue")
    if name == "RedriveAllowPolicy" and parsed.get("redrivePermission") not in permissions:
        raise _bad_value(name)
    return value


def _object(name: str, value: str) -> dict[str, Any]:
    try:
        parsed = json.loads(value)
    except ValueError as error:
        raise invalid_value(name, value, "it is not JSON.") from error
    if not isinstance(parsed, dict):
        raise invalid_value(name, value, "it is not a JSON object.")
    return parsed


def _bad_value(name: str, reason: str = "") -> SqsError:
    return SqsError("InvalidAttributeValue", f"Invalid value for the parameter {name}.{reason}")


def _fifo_only(name: str) -> SqsError:
    message = f"Unknown Attribute {name}."
    if name in _HIGH_THROUGHPUT:
        message = f"You can specify the {name} only when FifoQueue is set to true."
    return SqsError("InvalidAttributeName", message)
