"""What a message may contain: characters, attribute names, types, numbers, sizes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from relay.local.sqs.errors import SqsError, invalid, missing
from relay.local.sqs.parameters import AttributeValue

MAX_ATTRIBUTES = 10
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,256}")
_TYPE = re.compile(r"(String|Number|Binary)(\..+)?")
_TYPE_LENGTH = 256
_TOKEN = re.compile(r"[a-zA-Z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")
_DIGITS, _SMALLEST, _LARGEST = 38, -128, 126  # the range of a Number, from the API's text


def check_body(body: str) -> None:
    """Refuse an empty body and one with characters that XML 1.0 cannot hold."""
    if not body:
        raise missing("MessageBody")
    if forbidden(body):
        raise SqsError(
            "InvalidMessageContents",
            "Invalid characters found. Valid unicode characters are "
            "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
        )


def forbidden(text: str) -> bool:
    """Whether SQS refuses this text. What Python calls printable is a part of what SQS allows."""
    return not text.isprintable() and _FORBIDDEN.search(text) is not None


def check_token(parameter: str, value: str | None) -> None:
    """Refuse a group, deduplication or attempt id with characters or a length of its own."""
    if value is not None and not _TOKEN.fullmatch(value):
        raise invalid(
            f"Value {value} for parameter {parameter} is invalid. Reason: {parameter} can only "
            "include alphanumeric and punctuation characters. 1 to 128 in length."
        )


def check_attributes(attributes: Mapping[str, AttributeValue]) -> int:
    """The bytes that the attributes count for, or a refusal of the first wrong one."""
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
            "The message attribute name can contain only the characters A-Z, a-z, 0-9, "
            f"underscore, hyphen and period, up to 256 of them: '{name}'."
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
            f"The message attribute '{name}' must contain a non-empty message attribute value "
            f"for message attribute type '{kind}'."
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
