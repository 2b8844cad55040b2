"""Validates a message as SQS does: characters, attribute names, types, numbers and sizes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from uuid import uuid4

from relay.local.sqs.attributes import QueueAttributes
from relay.local.sqs.errors import SqsError, invalid, invalid_value, missing
from relay.local.sqs.parameters import AttributeValue, Draft
from relay.local.sqs.stored import Stored, md5_of_attributes, md5_of_body

MAX_ATTRIBUTES = 10
MAX_DELAY = 900
TRACE_HEADER = "AWSTraceHeader"
_WRONG_TYPE = "The request include parameter that is not valid for this queue type"
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"[\w.-]{1,256}")  # letters of any script, unlike what the reference says
_TYPE = re.compile(r"(String|Number|Binary)(\..+)?")
_TYPE_LENGTH = 256
_TOKEN = re.compile(r"[a-zA-Z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")
_DIGITS, _SMALLEST, _LARGEST = 38, -128, 126  # the range of a Number, from the API reference


def check_body(body: str) -> None:
    """Reject an empty body, and one with characters that XML 1.0 does not allow."""
    if not body:
        raise missing("MessageBody")
    if forbidden(body):
        raise SqsError(
            "InvalidMessageContents",
            "Invalid characters found. Valid unicode characters are "
            "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
        )


def forbidden(text: str) -> bool:
    """Whether SQS rejects this text. All that Python calls printable is allowed by SQS."""
    return not text.isprintable() and _FORBIDDEN.search(text) is not None


def check_token(parameter: str, value: str | None) -> None:
    """Reject a group, deduplication or attempt id with invalid characters or an invalid length."""
    if value is not None and not _TOKEN.fullmatch(value):
        raise invalid(
            f"Value {value} for parameter {parameter} is invalid. Reason: {parameter} can only "
            "include alphanumeric and punctuation characters. 1 to 128 in length."
        )


def check_attributes(attributes: Mapping[str, AttributeValue]) -> int:
    """The size of the attributes in bytes.

    Raises:
        SqsError: for the first invalid one.
    """
    if len(attributes) > MAX_ATTRIBUTES:
        raise invalid(
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [10]."
        )
    return sum(_check_attribute(name, value) for name, value in attributes.items())


def _check_attribute(name: str, value: AttributeValue) -> int:
    _check_name(name)
    _check_type(name, value)
    if value.string_list_values or value.binary_list_values:
        raise SqsError("UnsupportedOperation", "Message attribute list values are not supported.")
    content = _content(name, value)
    return len(name.encode()) + len(value.data_type.encode()) + len(content)


def _check_name(name: str) -> None:
    lowered = name.lower()
    if not _NAME.fullmatch(name):
        raise invalid(
            "The message attribute name can contain only letters, digits, underscore, hyphen and "
            f"period, up to 256 of them: '{name}'."
        )
    if name.startswith(".") or name.endswith(".") or ".." in name:
        raise invalid(f"Invalid message attribute name '{name}': a period is out of place.")
    if lowered.startswith(("aws.", "amazon.")):
        raise invalid(f"You can't use message attribute names beginning with 'AWS.': '{name}'.")


def _check_type(name: str, value: AttributeValue) -> None:
    if not value.data_type:
        raise invalid(f"The message attribute '{name}' must contain a non-empty attribute type.")
    if not _TYPE.fullmatch(value.data_type) or len(value.data_type) > _TYPE_LENGTH:
        raise invalid(
            f"The message attribute '{name}' has an invalid message attribute type, the set of "
            "supported type prefixes is Binary, Number, and String."
        )


def _content(name: str, value: AttributeValue) -> bytes:
    kind = value.data_type.split(".", 1)[0]
    if kind == "Binary":
        content = value.binary_value
    else:
        content = None if value.string_value is None else value.string_value.encode()
    if not content:
        raise invalid(
            f"Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'."
        )
    if kind != "Binary" and forbidden(value.string_value or ""):
        raise invalid(f"The message attribute '{name}' contains an invalid character.")
    if kind == "Number" and not _is_number(value.string_value or ""):
        raise invalid(f"Can't cast the value of message attribute '{name}' to a number.")
    return content


def _is_number(text: str) -> bool:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return False
    if not number.is_finite() or len(number.as_tuple().digits) > _DIGITS:
        return False
    return not number or _SMALLEST <= number.adjusted() <= _LARGEST


def accept(draft: Draft, attributes: QueueAttributes, now: float) -> Stored:
    """Validate a draft and return the message, with a new id, not yet in any queue.

    Raises:
        SqsError: SQS would reject it.
    """
    check_body(draft.message_body)
    custom = draft.message_attributes or {}
    body = draft.message_body.encode()
    size = len(body) + (check_attributes(custom) if custom else 0)
    if size > attributes.max_size:
        raise invalid(
            "One or more parameters are invalid. Reason: Message must be shorter than "
            f"{attributes.max_size} bytes."
        )
    _check_delay(draft, attributes)
    return Stored(
        serial=0,
        message_id=str(uuid4()),
        body=draft.message_body,
        md5_of_body=md5_of_body(body),
        size=size,
        sent_at=now,
        attributes=custom,
        md5_of_attributes=md5_of_attributes(custom),
        md5_of_system_attributes=md5_of_attributes(draft.message_system_attributes or {}),
        trace_header=_trace_header(draft.message_system_attributes or {}),
        group_id=_group_id(draft, attributes),
        dedup_id=_dedup_id(draft, attributes),
    )


def draft_size(draft: Draft) -> int:
    """The size in bytes that counts towards the batch's limit; the draft need not be valid."""
    return len(draft.message_body.encode()) + sum(
        len(name.encode())
        + len(value.data_type.encode())
        + len(value.binary_value or (value.string_value or "").encode())
        for name, value in (draft.message_attributes or {}).items()
    )


def check_fifo_ids(draft: Draft, attributes: QueueAttributes) -> None:
    """Reject a batch for a FIFO queue in which this draft lacks its group or deduplication id."""
    if draft.message_group_id is None:
        raise invalid(missing("MessageGroupId").message)
    if draft.message_deduplication_id is None and not attributes.content_based:
        raise _no_dedup_id()


def _check_delay(draft: Draft, attributes: QueueAttributes) -> None:
    delay = draft.delay_seconds
    if delay is None:
        return
    if attributes.fifo and delay:
        raise invalid_value("DelaySeconds", delay, f"{_WRONG_TYPE}.")
    if not 0 <= delay <= MAX_DELAY:
        raise invalid_value("DelaySeconds", delay, "DelaySeconds must be >= 0 and <= 900.")


def _trace_header(system: dict[str, AttributeValue]) -> str | None:
    for name, value in system.items():
        if name != TRACE_HEADER or value.data_type != "String" or not value.string_value:
            raise invalid(f"Message system attribute name '{name}' is invalid.")
        return value.string_value
    return None


def _group_id(draft: Draft, attributes: QueueAttributes) -> str | None:
    if attributes.fifo and draft.message_group_id is None:
        raise missing("MessageGroupId")
    check_token("MessageGroupId", draft.message_group_id)
    return draft.message_group_id


def _dedup_id(draft: Draft, attributes: QueueAttributes) -> str | None:
    given = draft.message_deduplication_id
    if not attributes.fifo:
        if given is not None:
            raise invalid_value("MessageDeduplicationId", given, f"{_WRONG_TYPE}.")
        return None
    check_token("MessageDeduplicationId", given)
    if given is None and not attributes.content_based:
        raise _no_dedup_id()
    return given or hashlib.sha256(draft.message_body.encode()).hexdigest()


def _no_dedup_id() -> SqsError:
    return invalid(
        "The queue should either have ContentBasedDeduplication enabled or "
        "MessageDeduplicationId provided explicitly"
    )
