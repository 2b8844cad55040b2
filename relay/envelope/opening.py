"""Which envelope a body is in, and opening it."""

from __future__ import annotations

from typing import Any

from relay.envelope import cloudevents, eventbridge, inngest, s3, sns, text
from relay.envelope.document import Document, document
from relay.envelope.letter import Letter
from relay.envelope.unfit import Unfit


def opened(body: bytes, pinned: str, max_events: int) -> Letter:
    """The letter in this body, of the pinned kind unless that is `auto`.

    Raises:
        Unfit: it is bad as a whole, or holds one event only and that is bad.
    """
    found = _found(body)
    if not isinstance(found, Document):
        _check_pin(pinned, "inngest")
        return inngest.array(found, max_events)
    kind = _kind(found.value, pinned)
    if kind != "sns":
        return _plain(found, kind, max_events)
    return sns.letter(found, _unwrapped(sns.inside(found), max_events))


def detected(value: dict[str, Any]) -> str:
    """The kind of envelope that this object shows the marks of; `inngest` where it shows none."""
    if "specversion" in value and ("type" in value or "name" not in value):
        return "cloudevents"
    if "name" in value:
        return "inngest"
    if "detail-type" in value:
        return "eventbridge"
    if "Records" in value or value.get("Event") == s3.TEST_EVENT:
        return "s3"
    if "Type" in value and ("TopicArn" in value or "Message" in value):
        return "sns"
    return "inngest"


def _unwrapped(body: bytes, max_events: int) -> Letter:
    """What SNS had around it; one notification in another is nothing that SNS makes."""
    found = _found(body)
    if not isinstance(found, Document):
        return inngest.array(found, max_events)
    kind = detected(found.value)
    if kind == "sns":
        raise Unfit("nested_sns", "the SNS notification holds another one")
    return _plain(found, kind, max_events)


def _found(body: bytes) -> Document | bytes:
    """The object that the body is, or the text of the array."""
    checked = text.checked(body)
    return checked if checked.startswith(b"[") else document(checked)


def _plain(found: Document, kind: str, max_events: int) -> Letter:
    if kind == "inngest":
        return inngest.single(found)
    if kind == "eventbridge":
        return eventbridge.letter(found)
    if kind == "s3":
        return s3.letter(found, max_events)
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
        raise Unfit("wrong_envelope", f"the envelope is set to {pinned}, the body is of {kind}")
