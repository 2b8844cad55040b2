"""What SNS puts around a message for a queue that is subscribed without raw delivery."""

from __future__ import annotations

from typing import Any

from relay.envelope import moment
from relay.envelope.document import Document
from relay.envelope.letter import Letter
from relay.envelope.unfit import Unfit

_CONFIRMATIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")


def inside(found: Document) -> bytes:
    """The message that was published.

    Raises:
        Unfit: `sns_confirmation`, `bad_sns` or `invalid_utf8`.
    """
    kind, text = found.value.get("Type"), found.value.get("Message")
    if kind in _CONFIRMATIONS:
        raise Unfit("sns_confirmation", f"an SNS {kind} is for a person to answer; it is no event")
    if kind != "Notification" or not isinstance(text, str):
        raise Unfit(
            "bad_sns", "an SNS notification has the Type Notification and a text as Message"
        )
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Unfit("invalid_utf8", "the SNS Message holds half of a surrogate pair") from None


def letter(found: Document, inner: Letter) -> Letter:
    """The inner letter with what SNS knows of it: where both name an id or a time, the inner's.

    The inner id outlives a second publication and is the same with raw delivery.
    """
    outer = found.value
    return Letter(
        kind=inner.kind,
        drafts=inner.drafts,
        array=inner.array,
        id=inner.id or _text(outer.get("MessageId")),
        ts=inner.ts or moment.of_text(outer.get("Timestamp")),
        trace=inner.trace,
        content=inner.content,
        attributes=_attributes(outer.get("MessageAttributes")),
        notices=inner.notices,
        acknowledge=inner.acknowledge,
    )


def _attributes(raw: Any) -> dict[str, str]:
    """Those that would be message attributes with raw delivery and survive as headers."""
    if not isinstance(raw, dict):
        return {}
    return {
        name: attribute["Value"]
        for name, attribute in raw.items()
        if isinstance(attribute, dict)
        and attribute.get("Type") != "Binary"
        and isinstance(attribute.get("Value"), str)
    }


def _text(value: Any) -> str | None:
    return value or None if isinstance(value, str) else None
