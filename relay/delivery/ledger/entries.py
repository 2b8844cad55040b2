"""The ledger's records: notes read and written in batches, as far as the table goes along."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from relay.delivery.ledger.table import (
    KEY,
    Item,
    LedgerEntry,
    Step,
    Subject,
    TableAccess,
    read_entry,
)
from relay.forwarding.batcher import Batcher, BatcherClosed
from relay.model.event import Event
from relay.model.facts import LedgerFailed, Observe, ignore

MAX_READ_KEYS = 100
WRITES = 25
"""Amazon DynamoDB quotas: keys in a BatchGetItem, items in a BatchWriteItem."""

IN_FLIGHT = 4
_LOOKED_AT: tuple[Step, ...] = ("sending", "delivered")


class Table(Protocol):
    """The table. One call each, no repetition; both raise `AwsError` where nothing was done."""

    async def read(self, keys: Sequence[str]) -> tuple[Sequence[Item], Sequence[str]]:
        """The items that there are, as written by all before, and the keys it did not get to."""
        ...

    async def write(self, items: Sequence[Item], deletes: Sequence[str]) -> Sequence[str]:
        """Put items whatever was there, delete others; the keys it did not get to."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of an event that is to be sent."""

    sending: LedgerEntry | None = None
    delivered: LedgerEntry | None = None


@dataclass(frozen=True, slots=True)
class _Withdrawn:
    """A note of sending that is to be deleted."""

    subject: Subject
    step: Step = "sending"


_Change: TypeAlias = LedgerEntry | _Withdrawn


class LedgerEntries:
    """Looks up, notes and withdraws. What cannot be done is stated as `LedgerMissed`, not raised.

    A look-up sees all that was written before. Notes overwrite their like: whoever notes `sending`
    has looked before that there is none, so that two at once differ by no more than the seconds
    between their look and their note, which `Ledger`'s margin covers many times.

    Args:
        table: where the notes are.
        access: how much patience there is with it.
        destination: what tells this orchestrator from others in the same table.
        environment: the same for its environments.
        kept: seconds for which a note is kept; at least the retention of queue and dead-letter
            queue together.
        observe: is told what was missed.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        table: Table,
        access: TableAccess,
        *,
        destination: str,
        environment: str,
        kept: float,
        observe: Observe = ignore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._table = table
        self._access = access
        self._place = (destination, environment)
        self._kept = kept
        self._observe = observe
        self._clock = clock
        self._reads: Batcher[Subject, Known | None] = Batcher(
            self._read, max_items=MAX_READ_KEYS // len(_LOOKED_AT), in_flight=IN_FLIGHT
        )
        self._writes: Batcher[_Change, bool] = Batcher(
            self._write, max_items=WRITES, in_flight=IN_FLIGHT
        )

    def subject(self, event: Event) -> Subject:
        """Which event that is to the ledger."""
        return Subject.of(event, *self._place)

    async def look_up(self, subject: Subject) -> Known | None:
        """What is known of it; None where the ledger could not tell."""
        try:
            return await self._reads.submit(subject)
        except BatcherClosed:
            self._missed({"look-up": 1}, "the relay is stopping")
            return None

    async def record(self, step: Step, subject: Subject, detail: str | None = None) -> bool:
        """Note that this happens now. Returns whether that is kept."""
        now = self._clock()
        return await self._change(
            LedgerEntry(step=step, subject=subject, at=now, expires=now + self._kept, detail=detail)
        )

    async def withdraw(self, subject: Subject) -> bool:
        """Delete a note of sending that has turned out untrue. Returns whether it is gone."""
        return await self._change(_Withdrawn(subject))

    async def aclose(self) -> None:
        """Give up what is under way; what is asked from now on is missed."""
        await self._reads.aclose()
        await self._writes.aclose()

    async def _change(self, change: _Change) -> bool:
        try:
            return await self._writes.submit(change)
        except BatcherClosed:
            self._missed({_step(change): 1}, "the relay is stopping")
            return False

    async def _read(self, subjects: Sequence[Subject]) -> list[Known | None]:
        found: dict[str, Item] = {}

        async def read(keys: Sequence[str]) -> Sequence[str]:
            items, left = await self._table.read(keys)
            found.update((str(item[KEY]), item) for item in items)
            return left

        # DynamoDB refuses a batch that names a key twice.
        keys = dict.fromkeys(subject.key(step) for subject in subjects for step in _LOOKED_AT)
        done = await self._access.work_off(tuple(keys), read)
        left = set(done.left)
        results = [self._known(subject, found, left) for subject in subjects]
        self._missed({"look-up": results.count(None)}, done.reason)
        return results

    def _known(
        self, subject: Subject, found: Mapping[str, Item], left: set[object]
    ) -> Known | None:
        keys = {step: subject.key(step) for step in _LOOKED_AT}
        if not left.isdisjoint(keys.values()):
            return None
        now = self._clock()
        sending, delivered = (
            read_entry(step, found[key], now) if key in found else None
            for step, key in keys.items()
        )
        return Known(sending, delivered)

    async def _write(self, changes: Sequence[_Change]) -> list[bool]:
        # The last one counts, and DynamoDB refuses a batch that names a key twice.
        by_key = {change.subject.key(change.step): change for change in changes}

        async def write(keys: Sequence[str]) -> Sequence[str]:
            some = [by_key[key] for key in keys]
            items = [change.item() for change in some if isinstance(change, LedgerEntry)]
            gone = [change.subject.key(change.step) for change in some if _is_gone(change)]
            return await self._table.write(items, gone)

        done = await self._access.work_off(tuple(by_key), write)
        left = set(done.left)
        kept = [change.subject.key(change.step) not in left for change in changes]
        missed = (_step(change) for change, ok in zip(changes, kept, strict=True) if not ok)
        self._missed(Counter(missed), done.reason)
        return kept

    def _missed(self, counts: Mapping[str, int], reason: str) -> None:
        for step, count in counts.items():
            if count:
                self._observe(LedgerFailed(step=step, count=count, reason=reason))


def _is_gone(change: _Change) -> bool:
    return isinstance(change, _Withdrawn)


def _step(change: _Change) -> str:
    return "withdrawal" if isinstance(change, _Withdrawn) else change.step
