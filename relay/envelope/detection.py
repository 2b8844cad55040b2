"""Detection of a body's envelope, and opening it."""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import Any

from relay.envelope import aws, cloudevents, inngest
from relay.envelope.json_document import Document, parse_document
from relay.envelope.opened_envelope import InvalidContent, OpenedEnvelope

MAX_DEPTH = 100
"""Levels of objects and arrays, including the outermost one. It is far below what any parser of any
supported Python fails at, so that the result never depends on the interpreter."""

_BLANK = b" \t\r\n"
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_NOT_OPENING = bytes(set(range(256)) - set(b"[{"))
_NEITHER_BRACKETS_NOR_QUOTES = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""Each bracket as the signed byte by which it changes the depth."""


def checked_text(body: bytes) -> bytes:
    """The body without surrounding whitespace.

    Raises:
        InvalidContent: `empty_body`, `byte_order_mark`, `invalid_utf8` or `too_deep`.
    """
    text = body.strip(_BLANK)
    if not text:
        raise InvalidContent("empty_body", "the body is empty")
    if not body.isascii():
        _check_encoding(body)
    if _too_deep(text):
        raise InvalidContent(
            "too_deep", f"the body nests objects or arrays deeper than {MAX_DEPTH} levels"
        )
    return text


def _check_encoding(body: bytes) -> None:
    if body.startswith(_BOMS):
        raise InvalidContent(
            "byte_order_mark", "the body starts with a byte order mark: send plain UTF-8"
        )
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise InvalidContent(
            "invalid_utf8", f"the body is not UTF-8 at byte {error.start}"
        ) from None


def _too_deep(text: bytes) -> bool:
    marks = text.translate(None, _NEITHER_BRACKETS_NOR_QUOTES)
    if len(marks) <= MAX_DEPTH or len(marks.translate(None, _NOT_OPENING)) <= MAX_DEPTH:
        return False
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
        marks = text.translate(None, _NEITHER_BRACKETS_NOR_QUOTES)
    brackets = _outside_strings(marks)
    if _is_flat(brackets):
        return False
    # Brackets that do not match are too few to matter here, or the parser refuses them first.
    return max(accumulate(array("b", brackets.translate(_STEPS))), default=0) > MAX_DEPTH


def _is_flat(brackets: bytes) -> bool:
    """Whether they match and have at most 16 levels, which takes a tenth of counting the levels."""
    for _ in range(8):
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")  # at most two levels
        if not brackets:
            return True
    return False


def _outside_strings(marks: bytes) -> bytes:
    """The brackets among brackets and quotes that are not in a string."""
    # Without two adjacent quotes, every bracket is still inside a string or outside.
    marks = marks.replace(b'""', b"")
    # Every other piece is inside a string; an unterminated string includes the rest.
    return b"".join(marks.split(b'"')[::2]) if b'"' in marks else marks


def open_envelope(body: bytes, pinned: str, max_events: int) -> OpenedEnvelope:
    """The content of the envelope in this body, of the pinned kind unless that is `auto`.

    Raises:
        InvalidContent: the body is invalid as a whole, or its only event is.
    """
    document = _parse(body)
    if not isinstance(document, Document):
        _check_pin(pinned, "inngest")
        return inngest.event_array(document, max_events)
    kind = _checked_kind(document.value, pinned)
    if kind != "sns":
        return _open(document, kind, max_events)
    return aws.sns(document, _open_nested(aws.sns_message(document), max_events))


def detect_checked_kind(value: dict[str, Any]) -> str:
    """The kind of envelope by the object's members; `inngest` if they match none."""
    if "specversion" in value and ("type" in value or "name" not in value):
        return "cloudevents"
    if "name" in value:
        return "inngest"
    if "detail-type" in value:
        return "eventbridge"
    if "Records" in value or value.get("Event") == aws.TEST_EVENT:
        return "s3"
    if "Type" in value and ("TopicArn" in value or "Message" in value):
        return "sns"
    return "inngest"


def _open_nested(body: bytes, max_events: int) -> OpenedEnvelope:
    """The content of an SNS notification, which cannot be another notification."""
    document = _parse(body)
    if not isinstance(document, Document):
        return inngest.event_array(document, max_events)
    kind = detect_checked_kind(document.value)
    if kind == "sns":
        raise InvalidContent("nested_sns", "the SNS notification contains another one")
    return _open(document, kind, max_events)


def _parse(body: bytes) -> Document | bytes:
    """The object in the body, or the text of the array."""
    checked = checked_text(body)
    return checked if checked.startswith(b"[") else parse_document(checked)


def _open(document: Document, kind: str, max_events: int) -> OpenedEnvelope:
    if kind == "inngest":
        return inngest.one_event(document)
    if kind == "eventbridge":
        return aws.eventbridge(document)
    if kind == "s3":
        return aws.s3(document, max_events)
    return cloudevents.cloudevent(document)


def _checked_kind(value: dict[str, Any], pinned: str) -> str:
    kind = detect_checked_kind(value)
    # If the envelope is pinned to Inngest, members of other envelopes are unknown fields.
    if pinned == "inngest" and "name" in value:
        return pinned
    _check_pin(pinned, kind)
    return kind


def _check_pin(pinned: str, kind: str) -> None:
    if pinned not in ("auto", kind):
        raise InvalidContent(
            "wrong_envelope", f"the envelope is set to {pinned}, the body is of {kind}"
        )
