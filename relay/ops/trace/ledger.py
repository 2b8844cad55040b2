"""The ledger as a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.aws.errors import QueueError
from relay.delivery.ledger.table import KEY, Item, Note, Step, Subject, read_note
from relay.model.message import Event
from relay.ops.trace.timeline import Found, Known, Moment, Unreached

SOURCE = "ledger"
STEPS: tuple[Step, ...] = ("sending", "delivered", "dead-lettered")
READS = 100
"""Amazon DynamoDB quota: keys in a BatchGetItem."""

_NEVER = float("-inf")
"""Also notes that have expired and are still there are worth telling."""


class Table(Protocol):
    """The ledger's table, which is only read."""

    async def read(self, keys: Sequence[str]) -> tuple[Sequence[Item], Sequence[str]]:
        """The items that there are, and the keys it did not get to; raises `QueueError`."""
        ...


@dataclass(frozen=True, slots=True)
class Notes:
    """The notes about events of known name and id, at this destination and environment."""

    table: Table
    destination: str
    environment: str
    name: str = SOURCE

    async def find(self, known: Known) -> Found:
        """The notes of every event whose name is known: the ledger is asked by name and id.

        Raises:
            Unreached: the table did not answer.
        """
        events = sorted((name, ident) for name, ident in known.events if name)
        if not events:
            return Found(gap="it is asked by event name and id: give the name with --name")
        asked = {
            Subject.of(Event(ident, name), self.destination, self.environment).key(step): (
                step,
                ident,
            )
            for name, ident in events
            for step in STEPS
        }
        try:
            items, left = await self._read(list(asked))
        except QueueError as error:
            raise Unreached(error.sentence) from error
        moments = []
        for item in items:
            step, ident = asked[str(item[KEY])]
            note = read_note(step, item, _NEVER)
            if note is not None:
                moments.append(_moment(note, ident))
                if step == "delivered" and note.told is not None:
                    known.references.add(note.told)
        gap = f"it did not get to {left} of its notes" if left else None
        return Found(tuple(moments), gap)

    async def _read(self, keys: Sequence[str]) -> tuple[list[Item], int]:
        items, left = list[Item](), 0
        for start in range(0, len(keys), READS):
            found, missed = await self.table.read(keys[start : start + READS])
            items += found
            left += len(missed)
        return items, left


def _moment(note: Note, ident: str) -> Moment:
    what = {
        "sending": "being sent: the first attempt of which no end is known",
        "delivered": "delivered" + (f" as {note.told}" if note.told else ""),
        "dead-lettered": f"dead-lettered as {note.told or 'unknown'}",
    }[note.step]
    details = {"id": ident, "step": note.step, "digest": note.subject.digest}
    return Moment(at=note.at, source=SOURCE, what=what, details=details)
