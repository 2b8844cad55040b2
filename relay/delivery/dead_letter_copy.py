"""The copy of a message that is sent to the dead-letter queue, and what it keeps of the original.

From best to worst: everything; everything, but the body encoded; a body in S3, to which the copy
points; a body without some attributes; the beginning of the body.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from msgspec import structs

from relay.model.encoded_body import (
    LONGEST_ENCODING,
    beginning_of,
    encoding_candidates,
    sqs_accepts,
)
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin
from relay.model.outcome import shortened

MAX_ATTRIBUTES = 10
"""Amazon SQS quota: message attributes in a message."""

MAX_BYTES = 1_048_576
"""Amazon SQS quota: body and attributes of a message together, in bytes."""

SHORT_REASON = 200
"""Characters of the reason in a queue that has no room for more."""

Kept: TypeAlias = Literal["unchanged", "encoded", "in_s3", "without_attributes", "truncated"]
"""What a copy keeps of its message. Only the last two lose something, which `origin.lost` names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterCopy:
    """The message that is sent to the dead-letter queue.

    `kept` is what it keeps of the original. `source` is the name of the queue that the message was
    received from. `group_id` is the original one, if known. `dedup_id` applies to FIFO queues only;
    it lets SQS drop nothing but our own earlier copy of the same message and hop.
    """

    body: str
    attributes: Mapping[str, Attribute]
    group_id: str | None = None
    dedup_id: str
    trace_header: str | None = None
    kept: Kept = "unchanged"
    source: str | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing of the original was changed or left out."""
        return self.kept == "unchanged"

    @property
    def size(self) -> int:
        """The bytes that count towards SQS's limits."""
        return _size(self.body, self.attributes)


class TooLarge(Exception):
    """The message does not fit into SQS together with its reason, whatever its encoding."""


class NotStored(Exception):
    """The dead-letter queue did not store the copy.

    Args:
        reason: a sentence for a person.
        setting: the setting to check, if a permission, a key or the queue is missing; None if a
            later retry may help.
        refused: whether SQS refuses this copy, and will refuse it again.
    """

    def __init__(self, reason: str, *, setting: str | None = None, refused: bool = False) -> None:
        self.reason = shortened(reason)
        super().__init__(self.reason)
        self.setting = setting
        self.refused = refused


def dead_letter_copy(
    message: Message, origin: Origin, max_bytes: int = MAX_BYTES
) -> DeadLetterCopy:
    """The most complete copy with the whole body that SQS can hold.

    The body is unchanged if SQS accepts it, otherwise encoded as `origin.encoding` says. Attributes
    that do not fit beside the origin are listed in `origin.lost`.

    Raises:
        TooLarge: it does not even fit compressed and without attributes.
    """
    return _first_that_fits(
        message, origin, lambda: encoding_candidates(message.body, origin.encoding), max_bytes
    )


def pointer_copy(
    message: Message, origin: Origin, pointer: str, max_bytes: int = MAX_BYTES
) -> DeadLetterCopy:
    """A copy whose body points to the whole body, in the format of the extended client.

    Raises:
        TooLarge: the queue does not even hold the pointer.
    """
    copy = _first_that_fits(message, origin, lambda: [(pointer, origin.encoding)], max_bytes)
    return copy if copy.kept == "without_attributes" else replace(copy, kept="in_s3")


def bare_copy(message: Message, origin: Origin, max_bytes: int = MAX_BYTES) -> DeadLetterCopy:
    """The plainest copy: an encoded body, and no attribute but the origin.

    For a message that SQS refuses for another reason than its size.

    Raises:
        TooLarge: it does not fit.
    """
    bare = structs.replace(message, attributes={}, trace_header=None)
    return replace(
        _first_that_fits(
            bare,
            _losing(origin, _others(message)),
            lambda: encoding_candidates(message.body, origin.encoding, plain=False),
            max_bytes,
        ),
        kept="without_attributes",
    )


def truncated_copy(message: Message, origin: Origin, max_bytes: int = MAX_BYTES) -> DeadLetterCopy:
    """A copy with the reason and as much of the body as fits. It can never be redriven.

    Raises:
        TooLarge: the queue does not even hold the reason.
    """
    shortest = replace(origin, reason=(origin.reason or "")[:SHORT_REASON] or None, lost=())
    for candidate in (_losing(origin, _others(message)), shortest):
        # Reserves room for the longest encoding and for the largest count.
        reserved = replace(candidate, encoding=LONGEST_ENCODING)
        largest = _losing(reserved, (_rest(len(message.body), len(message.body)),))
        room = max_bytes - _size("", {ATTRIBUTE: Attribute("String", largest.pack())})
        kept = beginning_of(message.body, origin.encoding, room)
        if kept is not None:
            lost = _losing(candidate, (_rest(kept.size, kept.total),))
            packed = replace(lost, encoding=kept.encoding).pack()
            attributes = {ATTRIBUTE: Attribute("String", packed)}
            return _copy_of(message, origin, kept.body, attributes, "truncated")
    raise TooLarge(f"not even the message's reason fits into {max_bytes} bytes")


def _first_that_fits(
    message: Message,
    origin: Origin,
    bodies: Callable[[], Iterable[tuple[str, str | None]]],
    max_bytes: int,
) -> DeadLetterCopy:
    """Attributes count more than a plain body: an encoded body can be restored."""
    others = _others(message)
    for kept in _choices({k: v for k, v in others.items() if _storable(v)}):
        lost = tuple(sorted(set(others) - set(kept)))
        for body, encoding in bodies():
            packed = _losing(replace(origin, encoding=encoding), lost).pack()
            attributes = {**kept, ATTRIBUTE: Attribute("String", packed)}
            if _size(body, attributes) <= max_bytes:
                whole: Kept = "unchanged" if encoding is None else "encoded"
                form = "without_attributes" if lost else whole
                return _copy_of(message, origin, body, attributes, form)
    raise TooLarge(f"the message and its reason exceed the queue's limit of {max_bytes} bytes")


def _copy_of(
    message: Message, origin: Origin, body: str, attributes: Mapping[str, Attribute], kept: Kept
) -> DeadLetterCopy:
    key = f"{message.queue}\n{message.message_id}\n{origin.hops}"
    return DeadLetterCopy(
        body=body,
        attributes=attributes,
        group_id=message.group_id,
        dedup_id=hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest(),
        trace_header=message.trace_header,
        kept=kept,
        source=message.queue,
    )


def _others(message: Message) -> dict[str, Attribute]:
    """The message's attributes but our own."""
    return {k: v for k, v in message.attributes.items() if k.casefold() != ATTRIBUTE}


def _losing(origin: Origin, lost: Iterable[str]) -> Origin:
    return replace(origin, lost=tuple(dict.fromkeys((*origin.lost, *lost))))


def _rest(kept: int, total: int) -> str:
    return f"the body after the first {kept} of its {total} bytes"


def _choices(attributes: Mapping[str, Attribute]) -> list[dict[str, Attribute]]:
    """As many as fit beside the origin, the smallest first; then none."""
    first = dict(sorted(attributes.items(), key=lambda item: _cost(*item))[: MAX_ATTRIBUTES - 1])
    return [first, {}] if first else [{}]


def _storable(attribute: Attribute) -> bool:
    """Whether SQS accepts the value: one that came as an HTTP header may be garbled."""
    value = attribute.value
    return bool(value) and (isinstance(value, bytes) or sqs_accepts(value))


def _cost(name: str, attribute: Attribute) -> int:
    value = attribute.value
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "replace")
    return len(name.encode()) + len(attribute.data_type) + len(raw)


def _size(body: str, attributes: Mapping[str, Attribute]) -> int:
    return len(body.encode()) + sum(_cost(*item) for item in attributes.items())
