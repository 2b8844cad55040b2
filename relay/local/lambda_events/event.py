"""The event of an invocation, from received messages, and the messages that its response reports.

Sources: Lambda Developer Guide, "Using Lambda with Amazon SQS" (example events), and "Handling
errors for an SQS event source", success and failure conditions.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

Raw: TypeAlias = Mapping[str, Any]
"""A message of a `ReceiveMessage` response."""

LARGEST_PAYLOAD = 6_000_000
"""Bytes of an event: the quota of a synchronous invocation is 6 MB (Lambda quotas)."""


class CompleteFailure(Exception):
    """The response is none that Lambda takes for a partial success: the whole batch has failed."""


def record(message: Raw, arn: str) -> dict[str, Any]:
    """The record of one message."""
    found = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes") or {}),
        "messageAttributes": {
            name: _attribute(value)
            for name, value in (message.get("MessageAttributes") or {}).items()
        },
        "md5OfBody": message.get("MD5OfBody"),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": arn.split(":")[3],
    }
    if "MD5OfMessageAttributes" in message:
        found["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return found


def event(messages: Iterable[Raw], arn: str) -> bytes:
    """The event's JSON."""
    return json.dumps({"Records": [record(message, arn) for message in messages]}).encode()


def payloads(messages: Sequence[Raw], arn: str) -> list[tuple[Sequence[Raw], bytes]]:
    """Batches that fit into an event, in order, each with its event."""
    whole = event(messages, arn)
    if len(whole) <= LARGEST_PAYLOAD or len(messages) == 1:
        return [(messages, whole)]
    middle = len(messages) // 2
    return payloads(messages[:middle], arn) + payloads(messages[middle:], arn)


def failed_ids(response: bytes, sent: Iterable[str]) -> set[str]:
    """The MessageIds that a response reports as failed.

    A complete success is an empty or null list, and an empty or null response.

    Raises:
        CompleteFailure: invalid JSON, an empty or null `itemIdentifier`, a wrong key, or an id that
            the event did not have.
    """
    try:
        value = json.loads(response or b"null")
    except ValueError as error:
        raise CompleteFailure("the response is not valid JSON") from error
    if value is None or value == "":
        return set()
    failures = value.get("batchItemFailures") if isinstance(value, Mapping) else None
    if failures is None:
        return set()
    if not isinstance(failures, list):
        raise CompleteFailure("batchItemFailures is not a list")
    found, known = set[str](), set(sent)
    for failure in failures:
        name = failure.get("itemIdentifier") if isinstance(failure, Mapping) else None
        if not isinstance(name, str) or name not in known:
            raise CompleteFailure("an itemIdentifier is missing, or no MessageId of the batch")
        found.add(name)
    return found


def _attribute(raw: Raw) -> dict[str, Any]:
    found: dict[str, Any] = {"stringListValues": [], "binaryListValues": []}
    if "StringValue" in raw:
        found["stringValue"] = raw["StringValue"]
    if "BinaryValue" in raw:
        value = raw["BinaryValue"]
        text = base64.b64encode(value).decode() if isinstance(value, bytes) else value
        found["binaryValue"] = text
    return {**found, "dataType": raw["DataType"]}
