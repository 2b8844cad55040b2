"""The origin of a dead letter: what the relay stores about it in one message attribute.

Whoever may send to the queue may write this attribute. So reading it is total, and what was read
can always be written again: texts are cut, counts stop at a maximum, and anything else is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from relay.model.message import Message
from relay.model.outcome import MAX_CODE, MAX_REASON, shortened

ATTRIBUTE = "relay-origin"
"""The attribute's name. Lowercase letters and hyphens are safe in an HTTP header's name."""

VERSION = 1

MAX_BYTES = 160_000
"""Of the attribute. `Origin.pack` never writes as much, so a longer one is not the relay's."""

MAX_COUNT = 1_000_000
"""Of hops and generations. Larger hops count as this many; a larger generation is refused."""

MAX_PENDING = 5_000
"""Pending positions; a message has no more events."""

MAX_ID = 256
"""Characters. A longer id is replaced by its hash, the one that `envelope.ids` makes of it."""

MAX_LOST = 20

_LIMITS = {
    "source": 256,
    "code": MAX_CODE,
    "reason": MAX_REASON,
    "encoding": 64,
    "lost": 256,
    "task": 1_024,
}
"""Characters of a text, or of each text in a list."""

_LATEST_TIME = 253_402_300_800
"""Seconds since the epoch: the year 10000, for which there are no calendars."""

LARGEST_CACHED = 65_536
"""Characters. The parsed form of a larger one is megabytes, and a producer may have made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is known about a message that was dead-lettered at least once.

    Attributes:
        id: the base id of the first delivery. The ids of its events are derived from it for ever.
        undecoded: the message was never decoded. Its own ids win over `id`, which is the first
            MessageId.
        pending: positions of the events still to be delivered; None means all of them.
        hops: how often it has gone through a dead-letter queue.
        sent_at: when the first message was sent, epoch seconds.
        source: the name of the queue that it was first received from.
        code: why it was dead-lettered, as a stable code.
        reason: the same as a sentence.
        generation: how often a person deliberately asked for a new run under new ids.
        may_have_run: the destination may have accepted some of its events after all.
        lost: what could not be kept (attribute names, for instance).
        task: name and time of the periodic task that it was a firing of; its body is empty.
        encoding: how the body is encoded (`encoded_body`); None if it is unchanged.
    """

    id: str
    undecoded: bool = False
    pending: tuple[int, ...] | None = None
    hops: int = 0
    sent_at: float | None = None
    source: str | None = None
    code: str | None = None
    reason: str | None = None
    generation: int = 0
    may_have_run: bool = False
    lost: tuple[str, ...] = ()
    task: tuple[str, str] | None = None
    encoding: str | None = None

    def pack(self) -> str:
        """The attribute's value: one line of ASCII JSON, safe in SQS and in an HTTP header."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values = {n: _bounded(n, value) for n, value in values.items() if value != _DEFAULTS[n]}
        text = json.dumps({"version": VERSION, **values}, separators=(",", ":"))
        return text.replace("\x7f", "\\u007f")  # valid in JSON, but not in an HTTP header


_DEFAULTS = {f.name: f.default for f in fields(Origin)}


class UnreadableOrigin(ValueError):
    """The attribute was not written by the relay, or is of an unknown version."""


def origin_of(message: Message) -> Origin | None:
    """The message's origin; None if it was never dead-lettered.

    Raises:
        UnreadableOrigin: the text names the invalid field.
    """
    attribute = message.attribute(ATTRIBUTE)
    return None if attribute is None else unpack(attribute.value)


def origin_or_substitute(message: Message) -> Origin | None:
    """The message's origin, or one that says that an unreadable origin was lost.

    The ids are lost with it, so a later redrive may run events a second time.
    """
    try:
        return origin_of(message)
    except UnreadableOrigin:
        return Origin(
            id=message.message_id,
            sent_at=message.sent_at,
            source=message.queue,
            may_have_run=True,
            lost=(ATTRIBUTE,),
        )


def unpack(value: str | bytes) -> Origin:
    """Parse what `Origin.pack` wrote. Unknown fields of the same version are ignored.

    Raises:
        UnreadableOrigin: the text names the invalid field.
    """
    if len(value) > MAX_BYTES:
        raise UnreadableOrigin(f"the attribute {ATTRIBUTE} is longer than {MAX_BYTES} bytes")
    return _unpack_again(value) if len(value) <= LARGEST_CACHED else _unpack(value)


def _unpack(value: str | bytes) -> Origin:
    try:
        raw = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise UnreadableOrigin(f"the attribute {ATTRIBUTE} is not JSON") from error
    if not isinstance(raw, dict) or raw.get("version") != VERSION:
        raise UnreadableOrigin(f"the attribute {ATTRIBUTE} is not of version {VERSION}")
    if "id" not in raw:
        raise UnreadableOrigin(f"the attribute {ATTRIBUTE} has no id")
    return Origin(**{name: _checked(name, v) for name, v in raw.items() if name in _DEFAULTS})


_unpack_again = lru_cache(maxsize=8)(_unpack)  # it is read several times in a row


def _checked(name: str, value: Any) -> Any:
    """The field's value in the type that `Origin` declares, or `UnreadableOrigin`."""
    if not _VALIDATORS[name](value):
        raise UnreadableOrigin(f"the attribute {ATTRIBUTE} has an invalid {name!r}")
    return _bounded(name, tuple(value) if isinstance(value, list) else value)


def _bounded(name: str, value: Any) -> Any:
    """A valid value within the limits. The result of a bounded value is that value."""
    match name:
        case "id":
            return _bounded_id(value)
        case "hops":
            return min(value, MAX_COUNT)
        case "sent_at":
            return None if value is None else float(value)
        case "lost":
            return tuple(_cut(name, text) for text in value[:MAX_LOST])
        case "task":
            return None if value is None else tuple(_cut(name, text) for text in value)
        case _:
            return _cut(name, value) if isinstance(value, str) else value


def _bounded_id(value: str) -> str:
    if len(value) <= MAX_ID and _encodable(value) == value:
        return value
    return f"sha256:{hashlib.sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _cut(name: str, text: str) -> str:
    return _encodable(shortened(text, _LIMITS[name]))


def _encodable(text: str) -> str:
    """The text with a question mark for each lone surrogate, which logs and terminals refuse."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _all(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(_is(item, kind) for item in value)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _count(value: Any) -> bool:
    return _is(value, int) and value >= 0


def _positions(value: Any) -> bool:
    few = isinstance(value, list) and len(value) <= MAX_PENDING
    return few and _all(value, int) and all(0 <= position <= MAX_COUNT for position in value)


def _time(value: Any) -> bool:
    # The bounds exclude NaN, Infinity and integers of any length.
    return (_is(value, int) or isinstance(value, float)) and 0 <= value < _LATEST_TIME


_VALIDATORS: dict[str, Callable[[Any], bool]] = {
    "id": _text,
    "undecoded": lambda value: isinstance(value, bool),
    "pending": _positions,
    "hops": _count,
    "sent_at": _time,
    "source": _text,
    "code": _text,
    "reason": _text,
    "generation": lambda value: _count(value) and value <= MAX_COUNT,
    "may_have_run": lambda value: isinstance(value, bool),
    "lost": lambda value: _all(value, str),
    "task": lambda value: _all(value, str) and len(value) == len(("name", "time")),
    "encoding": _text,
}
