"""The ledger as a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.aws.errors import AwsError
from relay.delivery.ledger.table import KEY, Item, LedgerEntry, Step, Subject, read_entry
from relay.model.event import Event
from relay.ops.trace.timeline import KnownIds, SourceResult, SourceUnavailable, TimelineEntry

SOURCE = "ledger"
STEPS: tuple[Step, ...] = ("sending", "delivered", "dead-lettered")
READS = 100
"""Amazon DynamoDB quota: keys in a BatchGetItem."""

_NEVER = float("-inf")
"""Also notes that have expired and are still there are worth telling."""


class Table(Protocol):
    """The ledger's table, which is only read."""

    async def read(self, keys: Sequence[str]) -> tuple[Sequence[Item], Sequence[str]]:
        """The items that there are, and the keys it did not get to; raises `AwsError`."""
        ...


@dataclass(frozen=True, slots=True)
class LedgerSource:
    """The notes about events of known name and id, at this destination and environment."""

    table: Table
    destination: str
    environment: str
    name: str = SOURCE

    async def find(self, known: KnownIds) -> SourceResult:
        """The notes of every event whose name is known: the ledger is asked by name and id.

        Raises:
            Unreached: the table did not answer.
        """
        events = sorted((name, ident) for name, ident in known.events if name)
        if not events:
            return SourceResult(gap="it is asked by event name and id: give the name with --name")
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
        except AwsError as error:
            raise SourceUnavailable(error.sentence) from error
        moments = []
        for item in items:
            step, ident = asked[str(item[KEY])]
            note = read_entry(step, item, _NEVER)
            if note is not None:
                moments.append(_moment(note, ident))
                if step == "delivered" and note.detail is not None:
                    known.references.add(note.detail)
        gap = f"it did not get to {left} of its notes" if left else None
        return SourceResult(tuple(moments), gap)

    async def _read(self, keys: Sequence[str]) -> tuple[list[Item], int]:
        items, left = list[Item](), 0
        for start in range(0, len(keys), READS):
            found, missed = await self.table.read(keys[start : start + READS])
            items += found
            left += len(missed)
        return items, left


def _moment(note: LedgerEntry, ident: str) -> TimelineEntry:
    what = {
        "sending": "being sent: the first attempt of which no end is known",
        "delivered": "delivered" + (f" as {note.detail}" if note.detail else ""),
        "dead-lettered": f"dead-lettered as {note.detail or 'unknown'}",
    }[note.step]
    details = {"id": ident, "step": note.step, "digest": note.subject.digest}
    return TimelineEntry(at=note.at, source=SOURCE, what=what, details=details)
