"""A message as one line of a file: every field, byte for byte, with a checksum."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from relay.message import Attribute, Message

_MARK = b',"sha256":"'
_TAIL = len(_MARK) + 64 + len('"}')
_PLAIN = (
    ("message_id", str),
    ("queue", str),
    ("receive_count", int),
    ("sent_at", float),
    ("first_received_at", float),
    ("group_id", str),
    ("dedup_id", str),
    ("sequence_number", str),
    ("trace_header", str),
    ("dead_letter_source", str),
)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Damaged(ValueError):
    """The line is not what was written. The text is a sentence without the line's number."""


def write_record(fields: Mapping[str, Any]) -> bytes:
    """The fields as one line, its own checksum last, no line break."""
    text = _encode(fields)[:-1]
    return text + _MARK + hashlib.sha256(text).hexdigest().encode() + b'"}'


def read_record(line: bytes) -> dict[str, Any]:
    """The fields of a line, without the checksum.

    Raises:
        Damaged: it is cut off, altered or was never such a line.
    """
    text, tail = line[:-_TAIL], line[-_TAIL:]
    if not tail.startswith(_MARK) or not tail.endswith(b'"}'):
        raise Damaged("it has no checksum")
    if hashlib.sha256(text).hexdigest().encode() != tail[len(_MARK) : -2]:
        raise Damaged("it is not what its checksum says")
    fields: dict[str, Any] = _decode(text + b"}")
    return fields


def of_message(message: Message) -> dict[str, Any]:
    """The message as JSON values; what is not told is left out."""
    told = {name: getattr(message, name) for name, _ in _PLAIN}
    fields = {name: value for name, value in told.items() if value is not None}
    try:
        fields["body"] = message.body.decode()
    except UnicodeDecodeError:
        fields["body_base64"] = base64.b64encode(message.body).decode()
    if message.attributes:
        fields["attributes"] = {n: _of_attribute(a) for n, a in message.attributes.items()}
    return fields


def to_message(fields: Mapping[str, Any]) -> Message:
    """The message that `of_message` wrote.

    Raises:
        Damaged: a field is missing or of another type.
    """
    try:
        told: dict[str, Any] = {name: kind(fields[name]) for name, kind in _PLAIN if name in fields}
        return Message(body=_body(fields), attributes=_attributes(fields), **told)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Damaged(f"it holds no message: {error}") from error


def _of_attribute(attribute: Attribute) -> dict[str, str]:
    if isinstance(attribute.value, bytes):
        return {"type": attribute.data_type, "binary": base64.b64encode(attribute.value).decode()}
    return {"type": attribute.data_type, "text": attribute.value}


def _attributes(fields: Mapping[str, Any]) -> dict[str, Attribute]:
    return {
        name: Attribute(
            raw["type"],
            raw["text"] if "text" in raw else base64.b64decode(raw["binary"], validate=True),
        )
        for name, raw in fields.get("attributes", {}).items()
    }


def _body(fields: Mapping[str, Any]) -> bytes:
    if "body" in fields:
        return str(fields["body"]).encode()
    return base64.b64decode(fields["body_base64"], validate=True)
