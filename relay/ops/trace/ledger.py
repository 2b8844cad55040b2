"""The ledger as a source: what it recorded about an event."""

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
MAX_READ_KEYS = 100
"""Amazon DynamoDB quota: keys in a BatchGetItem."""

_ANY_AGE = float("-inf")
"""Entries that have expired and were not deleted yet are shown, too."""


class Table(Protocol):
    """The ledger's table. It is only read."""

    async def read(self, keys: Sequence[str]) -> tuple[Sequence[Item], Sequence[str]]:
        """The items that exist, and the keys that were not processed. Raises `AwsError`."""
        ...


@dataclass(frozen=True, slots=True)
class LedgerSource:
    """The ledger entries of events with a known name and id, for one destination.

    `environment` is that of events without their own.
    """

    table: Table
    destination: str
    environment: str
    name: str = SOURCE

    async def find(self, known: KnownIds) -> SourceResult:
        """Find the entries of every event whose name is known, as it is part of the key.

        Raises:
            SourceUnavailable: the table did not answer.
        """
        events = sorted((name, ident) for name, ident in known.events if name)
        if not events:
            return SourceResult(gap="the event's name is part of the key: give it with --name")
        keys = {
            Subject.of(Event(ident, name, env=env), self.destination, self.environment).key(step): (
                step,
                ident,
            )
            for name, ident in events
            for env in (None, *sorted(known.environments))
            for step in STEPS
        }
        try:
            items, left = await self._read(list(keys))
        except AwsError as error:
            raise SourceUnavailable(error.sentence) from error
        entries = []
        for item in items:
            step, ident = keys[str(item[KEY])]
            recorded = read_entry(step, item, _ANY_AGE)
            if recorded is not None:
                entries.append(_timeline_entry(recorded, ident))
                if step == "delivered" and recorded.detail is not None:
                    known.references.add(recorded.detail)
        gap = f"{left} items could not be read" if left else None
        return SourceResult(tuple(entries), gap)

    async def _read(self, keys: Sequence[str]) -> tuple[list[Item], int]:
        items, left = list[Item](), 0
        for start in range(0, len(keys), MAX_READ_KEYS):
            found, missed = await self.table.read(keys[start : start + MAX_READ_KEYS])
            items += found
            left += len(missed)
        return items, left


def _timeline_entry(recorded: LedgerEntry, ident: str) -> TimelineEntry:
    what = {
        "sending": "sending: the first attempt without a recorded outcome",
        "delivered": "delivered" + (f" as {recorded.detail}" if recorded.detail else ""),
        "dead-lettered": f"dead-lettered as {recorded.detail or 'unknown'}",
    }[recorded.step]
    details = {"id": ident, "step": recorded.step, "digest": recorded.subject.digest}
    return TimelineEntry(at=recorded.at, source=SOURCE, what=what, details=details)
