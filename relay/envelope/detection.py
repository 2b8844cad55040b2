"""Which envelope a body is in, and opening it."""

from __future__ import annotations

from typing import Any

from relay.envelope import aws, cloudevents, inngest
from relay.envelope.json_document import Document, document
from relay.envelope.opened_envelope import InvalidContent, OpenedEnvelope

MAX_DEPTH = 100
"""Levels of objects and arrays, the body's outermost included: far below what any parser on any
supported Python breaks at, so that the answer never depends on the interpreter."""

_BLANK = b" \t\r\n"
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_NOT_OPENING = bytes(set(range(256)) - set(b"[{"))
_NEITHER_BRACKETS_NOR_QUOTES = bytes(set(range(256)) - set(b'[]{}"'))
_ALL_SQUARE = bytes.maketrans(b"{}", b"[]")


def checked_text(body: bytes) -> bytes:
    """The body without the blanks around it.

    Raises:
        InvalidContent: `empty_body`, `byte_order_mark`, `invalid_utf8` or `too_deep`.
    """
    text = body.strip(_BLANK)
    if not text:
        raise InvalidContent("empty_body", "the body is empty")
    if not body.isascii():
        _check_encoding(body)
    if len(text.translate(None, _NOT_OPENING)) > MAX_DEPTH and _too_deep(text):
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
    """Peel the innermost brackets off, a level at a time: few passes at the speed of C."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Every other piece between quotes is in a string; an open one swallows the rest.
    pieces = text.translate(_ALL_SQUARE, _NEITHER_BRACKETS_NOR_QUOTES).split(b'"')
    brackets = b"".join(pieces[::2])
    for _ in range(MAX_DEPTH):
        peeled = brackets.replace(b"[]", b"")
        if len(peeled) == len(brackets):
            break
        brackets = peeled
    # What stays is too deep or, with few brackets, unbalanced, which is for the parser to say.
    return brackets.count(b"[") > MAX_DEPTH or (b"[]" in brackets)


def opened(body: bytes, pinned: str, max_events: int) -> OpenedEnvelope:
    """The letter in this body, of the pinned kind unless that is `auto`.

    Raises:
        InvalidContent: it is bad as a whole, or holds one event only and that is bad.
    """
    found = _found(body)
    if not isinstance(found, Document):
        _check_pin(pinned, "inngest")
        return inngest.array(found, max_events)
    kind = _kind(found.value, pinned)
    if kind != "sns":
        return _plain(found, kind, max_events)
    return aws.sns(found, _unwrapped(aws.inside(found), max_events))


def detected(value: dict[str, Any]) -> str:
    """The kind of envelope that this object shows the marks of; `inngest` where it shows none."""
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


def _unwrapped(body: bytes, max_events: int) -> OpenedEnvelope:
    """What SNS had around it; one notification in another is nothing that SNS makes."""
    found = _found(body)
    if not isinstance(found, Document):
        return inngest.array(found, max_events)
    kind = detected(found.value)
    if kind == "sns":
        raise InvalidContent("nested_sns", "the SNS notification holds another one")
    return _plain(found, kind, max_events)


def _found(body: bytes) -> Document | bytes:
    """The object that the body is, or the text of the array."""
    checked = checked_text(body)
    return checked if checked.startswith(b"[") else document(checked)


def _plain(found: Document, kind: str, max_events: int) -> OpenedEnvelope:
    if kind == "inngest":
        return inngest.single(found)
    if kind == "eventbridge":
        return aws.eventbridge(found)
    if kind == "s3":
        return aws.s3(found, max_events)
    return cloudevents.letter(found)


def _kind(value: dict[str, Any], pinned: str) -> str:
    kind = detected(value)
    # Where an Inngest event is what must come, other marks are but unknown fields of it.
    if pinned == "inngest" and "name" in value:
        return pinned
    _check_pin(pinned, kind)
    return kind


def _check_pin(pinned: str, kind: str) -> None:
    if pinned not in ("auto", kind):
        raise InvalidContent(
            "wrong_envelope", f"the envelope is set to {pinned}, the body is of {kind}"
        )
