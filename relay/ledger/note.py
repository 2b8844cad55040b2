"""A note of the ledger: one step of one event. It holds nothing of what the event says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from relay.message import Event

Step: TypeAlias = Literal["sending", "delivered", "dead-lettered"]
Item: TypeAlias = Mapping[str, str | float]
"""An item of the table: text and numbers by attribute."""

KEY = "key"
EXPIRES = "expires"
"""The table's partition key, and the attribute by which it forgets: seconds since the epoch."""

_NULL = b"null"


@dataclass(frozen=True, slots=True)
class Subject:
    """Which event a note is about, and a digest of its content.

    `hash` is of destination, environment, name and id; the id carries the generation of a
    deliberate new run. `digest` leaves the time out: SQS's own redrive gives a message a new one.
    """

    hash: str
    digest: str

    @classmethod
    def of(cls, event: Event, destination: str, environment: str) -> Subject:
        """The subject of an event that goes there."""
        place = json.dumps([destination, environment, event.name, event.id]).encode()
        content = json.dumps([len(event.data or _NULL), event.v]).encode()
        digest = hashlib.sha256(content)
        digest.update(event.data or _NULL)
        digest.update(event.user or _NULL)
        return cls(hashlib.sha256(place).hexdigest(), digest.hexdigest()[:32])

    def key(self, step: Step) -> str:
        """The key of its note of this step. Each step has an item of its own."""
        return f"{step}#{self.hash}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What happened to an event, at a time in seconds since the epoch.

    `told` is the destination's reference of a delivered event, the code of a dead-lettered one.
    For `sending`, `at` is before the first attempt of which nobody knows that it failed.
    """

    step: Step
    subject: Subject
    at: float
    expires: float
    told: str | None = None

    def item(self) -> Item:
        """The note as the table keeps it."""
        fields: dict[str, str | float] = {
            KEY: self.subject.key(self.step),
            "at": self.at,
            "digest": self.subject.digest,
            # DynamoDB expires whole seconds only.
            EXPIRES: int(self.expires),
        }
        if self.told is not None:
            fields["told"] = self.told
        return fields


def read_note(step: Step, item: Item, now: float) -> Note | None:
    """The note, or None where it has expired (the table deletes days late) or is none of ours."""
    digest, told = item.get("digest"), item.get("told")
    at, expires = _number(item.get("at")), _number(item.get(EXPIRES))
    if at is None or expires is None or expires <= now or not isinstance(digest, str):
        return None
    return Note(
        step=step,
        subject=Subject(str(item[KEY]).partition("#")[2], digest),
        at=at,
        expires=expires,
        told=told if isinstance(told, str) else None,
    )


def _number(value: str | float | None) -> float | None:
    return None if value is None or isinstance(value, str) else value
