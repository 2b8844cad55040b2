"""What a message remembers of its past: the one packed attribute of ours on a dead letter."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from relay.model.message import Message

ATTRIBUTE = "relay-origin"
"""The attribute's name: lowercase letters and hyphens survive as an HTTP header's name."""

VERSION = 1
REASON_LIMIT = 1_000
_FAR = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The past of a message that was dead-lettered once, at least.

    Attributes:
        id: the base id of the first delivery; the ids of its events follow from it for ever.
        undecoded: nothing of it was ever read. What names the message itself counts before `id`,
            which is the MessageId that it had first.
        pending: positions of the events still to be delivered; None means all of them.
        hops: how often it has gone through a dead-letter queue.
        sent_at: when the first message was sent, epoch seconds.
        source: name of the queue it was first taken from.
        code: why it was dead-lettered, for machines.
        reason: the same as a sentence.
        generation: how often a person deliberately asked for a new run under new ids.
        may_have_run: the destination may hold some of its events all the same.
        lost: what could not be carried on (attribute names, for instance).
        task: name and time of the periodic task that it was a firing of; its body is empty.
        encoding: "base64" where the body is a stand-in for one that SQS cannot hold.
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
        kept = {f.name: getattr(self, f.name) for f in fields(self)}
        kept = {name: value for name, value in kept.items() if value != _DEFAULTS[name]}
        if self.reason is not None:
            kept["reason"] = self.reason[:REASON_LIMIT]
        text = json.dumps({"version": VERSION, **kept}, separators=(",", ":"))
        return text.replace("\x7f", "\\u007f")  # JSON lets it stand; an HTTP header must not


_DEFAULTS = {f.name: f.default for f in fields(Origin)}


class UnreadableOrigin(ValueError):
    """The attribute is there but is not ours, or is of a version that we do not know."""


def origin_of(message: Message) -> Origin | None:
    """The past that the message carries, or None on its first way through.

    Raises:
        UnreadableOrigin: with a sentence that names the field at fault.
    """
    attribute = message.attribute(ATTRIBUTE)
    return None if attribute is None else unpack(attribute.value)


@lru_cache(maxsize=8)  # who handles a message reads it several times in a row
def unpack(value: str | bytes) -> Origin:
    """Read what `Origin.pack` wrote. Unknown fields of the same version are ignored.

    Raises:
        UnreadableOrigin: with a sentence that names the field at fault.
    """
    try:
        raw = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise UnreadableOrigin(f"the attribute {ATTRIBUTE} is not JSON") from error
    if not isinstance(raw, dict) or raw.get("version") != VERSION:
        raise UnreadableOrigin(f"the attribute {ATTRIBUTE} is not of version {VERSION}")
    if "id" not in raw:
        raise UnreadableOrigin(f"the attribute {ATTRIBUTE} names no id")
    return Origin(**{name: _checked(name, v) for name, v in raw.items() if name in _DEFAULTS})


def _checked(name: str, value: Any) -> Any:
    """The field's value in the type that `Origin` declares, or `UnreadableOrigin`."""
    if not _POSSIBLE[name](value):
        raise UnreadableOrigin(f"the attribute {ATTRIBUTE} holds an impossible {name!r}")
    if name == "sent_at":
        return float(value)
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
    # The bound keeps NaN, Infinity and integers of any length out.
    return (_is(value, int) or isinstance(value, float)) and abs(value) < _FAR


_POSSIBLE: dict[str, Callable[[Any], bool]] = {
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
