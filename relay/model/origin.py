"""The origin of a dead letter: what the relay stores about it in one message attribute."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from relay.model.message import Message
from relay.model.outcome import MAX_CODE, shortened

ATTRIBUTE = "relay-origin"
"""The attribute's name. Lowercase letters and hyphens are safe in an HTTP header's name."""

VERSION = 1

_LATEST_TIME = 1e12

LARGEST = 524_288
"""Characters. The positions of all events that fit into a message have fewer."""

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
        values = {name: value for name, value in values.items() if value != _DEFAULTS[name]}
        if self.reason is not None:
            values["reason"] = shortened(self.reason)
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
    if len(value) > LARGEST:
        raise UnreadableOrigin(f"the attribute {ATTRIBUTE} has more than {LARGEST} characters")
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
    if name == "sent_at":
        return float(value)
    if name in ("code", "reason"):
        return shortened(value, MAX_CODE) if name == "code" else shortened(value)
    return tuple(value) if isinstance(value, list) else value


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _all(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(_is(item, kind) for item in value)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _count(value: Any) -> bool:
    return _is(value, int) and value >= 0


def _time(value: Any) -> bool:
    # The bound excludes NaN, Infinity and integers of any length.
    return (_is(value, int) or isinstance(value, float)) and abs(value) < _LATEST_TIME


_VALIDATORS: dict[str, Callable[[Any], bool]] = {
    "id": _text,
    "undecoded": lambda value: isinstance(value, bool),
    "pending": lambda value: _all(value, int) and all(i >= 0 for i in value),
    "hops": _count,
    "sent_at": _time,
    "source": _text,
    "code": _text,
    "reason": _text,
    "generation": _count,
    "may_have_run": lambda value: isinstance(value, bool),
    "lost": lambda value: _all(value, str),
    "task": lambda value: _all(value, str) and len(value) == len(("name", "time")),
    "encoding": _text,
}
