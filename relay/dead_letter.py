"""A dead letter: the copy of a message that SQS can hold, with its reason and its past."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from relay.message import Attribute, Message
from relay.origin import ATTRIBUTE, Origin
from relay.stand_in import forms, holdable

MAX_ATTRIBUTES = 10
"""Amazon SQS quota: message attributes in a message."""

MAX_BYTES = 1_048_576
"""Amazon SQS quota: body and attributes of a message together, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """What is sent to the dead-letter queue. `complete` is False where something was lost.

    `group_id` is the original one, if known; `dedup_id` counts on a FIFO queue only, where SQS may
    swallow nothing but our own earlier copy of the same message and hop.
    """

    body: str
    attributes: Mapping[str, Attribute]
    group_id: str | None = None
    dedup_id: str
    trace_header: str | None = None
    complete: bool = True


class TooLarge(Exception):
    """No form of the message fits into SQS together with its reason."""


def dead_letter(message: Message, origin: Origin, max_bytes: int = MAX_BYTES) -> DeadLetter:
    """The copy of the message that SQS can hold, losing as little as can be.

    The body goes unchanged where SQS can hold it, else as a stand-in that `origin.encoding` names.
    Attributes that find no place beside the origin are named in `origin.lost`.

    Raises:
        TooLarge: even compressed and without attributes it does not fit.
    """
    others = {k: v for k, v in message.attributes.items() if k.casefold() != ATTRIBUTE}
    kept_whole = {k: v for k, v in others.items() if _holdable(v)}
    for body, encoding in forms(message.body, origin.encoding):
        for kept in _choices(kept_whole):
            lost = tuple(sorted(set(others) - set(kept)))
            told = replace(origin, encoding=encoding, lost=_merged(origin.lost, lost))
            attributes = {**kept, ATTRIBUTE: Attribute("String", told.pack())}
            if _size(body, attributes) <= max_bytes:
                return DeadLetter(
                    body=body,
                    attributes=attributes,
                    group_id=message.group_id,
                    dedup_id=_dedup(message, origin),
                    trace_header=message.trace_header,
                    complete=encoding is None and not lost,
                )
    raise TooLarge(f"the message fills SQS's {max_bytes} bytes and leaves no place for its reason")


def _choices(attributes: Mapping[str, Attribute]) -> list[dict[str, Attribute]]:
    """As many as find a place beside the origin, the smallest first; then none."""
    first = dict(sorted(attributes.items(), key=lambda item: _cost(*item))[: MAX_ATTRIBUTES - 1])
    return [first, {}] if first else [{}]


def _holdable(attribute: Attribute) -> bool:
    """Whether SQS takes the value: one that came as an HTTP header may have been garbled."""
    value = attribute.value
    return bool(value) and (isinstance(value, bytes) or holdable(value))


def _cost(name: str, attribute: Attribute) -> int:
    value = attribute.value
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "replace")
    return len(name.encode()) + len(attribute.data_type) + len(raw)


def _size(body: str, attributes: Mapping[str, Attribute]) -> int:
    return len(body.encode()) + sum(_cost(*item) for item in attributes.items())


def _merged(before: tuple[str, ...], now: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*before, *now)))


def _dedup(message: Message, origin: Origin) -> str:
    key = f"{message.queue}\n{message.message_id}\n{origin.hops}"
    return hashlib.sha256(key.encode()).hexdigest()
