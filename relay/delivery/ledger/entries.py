"""Reads and writes ledger entries in batches. A step that fails is reported, never raised."""

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
"""Amazon DynamoDB quota: keys in a BatchGetItem."""

MAX_WRITE_ITEMS = 25
"""Amazon DynamoDB quota: items in a BatchWriteItem."""

CONCURRENCY = 4
"""Concurrent requests of each kind."""

_LOOK_UP_STEPS: tuple[Step, ...] = ("sending", "delivered")


class Table(Protocol):
    """The table. Each method sends one request and raises `AwsError` if nothing was done."""

    async def read(self, keys: Sequence[str]) -> tuple[Sequence[Item], Sequence[str]]:
        """The existing items, read consistently, and the keys that were not processed."""
        ...

    async def write(self, items: Sequence[Item], deletes: Sequence[str]) -> Sequence[str]:
        """Put items unconditionally and delete others. Returns the keys not processed."""
        ...


@dataclass(frozen=True, slots=True)
class EventEntries:
    """The entries of an event that matter before it is sent."""

    sending: LedgerEntry | None = None
    delivered: LedgerEntry | None = None


@dataclass(frozen=True, slots=True)
class _Withdrawal:
    """Deletes a `sending` entry."""

    subject: Subject
    step: Step = "sending"


_Change: TypeAlias = LedgerEntry | _Withdrawal


class LedgerEntries:
    """Looks up, records and withdraws entries. Failures are reported as `LedgerFailed`.

    Reads are consistent: a look-up sees all earlier writes. Writes overwrite. `sending` is recorded
    only after a look-up found none, so two concurrent writers differ by the seconds between their
    look-up and their write, which is far below the safety margin of `Ledger`'s `memory`.

    Args:
        table: the table of the entries.
        access: retries requests, within limits.
        destination: separates this orchestrator from others in the same table.
        environment: separates its environments.
        kept: seconds for which an entry is kept; at least the retention of the queue and the
            dead-letter queue together.
        observe: gets the failed steps.
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
        self._scope = (destination, environment)
        self._kept = kept
        self._observe = observe
        self._clock = clock
        self._reads: Batcher[Subject, EventEntries | None] = Batcher(
            self._read, max_items=MAX_READ_KEYS // len(_LOOK_UP_STEPS), in_flight=CONCURRENCY
        )
        self._writes: Batcher[_Change, bool] = Batcher(
            self._write, max_items=MAX_WRITE_ITEMS, in_flight=CONCURRENCY
        )

    def subject(self, event: Event) -> Subject:
        """Identifies the event in the ledger."""
        return Subject.of(event, *self._scope)

    async def look_up(self, subject: Subject) -> EventEntries | None:
        """The event's entries; None if the ledger did not answer."""
        try:
            return await self._reads.submit(subject)
        except BatcherClosed:
            self._failed({"look-up": 1}, "the relay is stopping")
            return None

    async def record(self, step: Step, subject: Subject, detail: str | None = None) -> bool:
        """Record that this step happens now. Returns whether the entry was written."""
        now = self._clock()
        return await self._change(
            LedgerEntry(step=step, subject=subject, at=now, expires=now + self._kept, detail=detail)
        )

    async def withdraw(self, subject: Subject) -> bool:
        """Delete the `sending` entry, which proved untrue. Returns whether it was deleted."""
        return await self._change(_Withdrawal(subject))

    async def aclose(self) -> None:
        """Cancel open requests. Later steps fail."""
        await self._reads.aclose()
        await self._writes.aclose()

    async def _change(self, change: _Change) -> bool:
        try:
            return await self._writes.submit(change)
        except BatcherClosed:
            self._failed({_step_name(change): 1}, "the relay is stopping")
            return False

    async def _read(self, subjects: Sequence[Subject]) -> list[EventEntries | None]:
        found: dict[str, Item] = {}

        async def read(keys: Sequence[str]) -> Sequence[str]:
            items, left = await self._table.read(keys)
            found.update((str(item[KEY]), item) for item in items)
            return left

        # DynamoDB refuses a batch that names a key twice.
        keys = dict.fromkeys(subject.key(step) for subject in subjects for step in _LOOK_UP_STEPS)
        progress = await self._access.process(tuple(keys), read)
        left = set(progress.left)
        results = [self._entries(subject, found, left) for subject in subjects]
        self._failed({"look-up": results.count(None)}, progress.reason)
        return results

    def _entries(
        self, subject: Subject, found: Mapping[str, Item], left: set[object]
    ) -> EventEntries | None:
        keys = {step: subject.key(step) for step in _LOOK_UP_STEPS}
        if not left.isdisjoint(keys.values()):
            return None
        now = self._clock()
        sending, delivered = (
            read_entry(step, found[key], now) if key in found else None
            for step, key in keys.items()
        )
        return EventEntries(sending, delivered)

    async def _write(self, changes: Sequence[_Change]) -> list[bool]:
        # The last change of a key counts: DynamoDB refuses a batch that names a key twice.
        by_key = {change.subject.key(change.step): change for change in changes}

        async def write(keys: Sequence[str]) -> Sequence[str]:
            some = [by_key[key] for key in keys]
            items = [change.item() for change in some if isinstance(change, LedgerEntry)]
            deletes = [
                change.subject.key(change.step)
                for change in some
                if isinstance(change, _Withdrawal)
            ]
            return await self._table.write(items, deletes)

        progress = await self._access.process(tuple(by_key), write)
        left = set(progress.left)
        written = [change.subject.key(change.step) not in left for change in changes]
        failed = (_step_name(change) for change, ok in zip(changes, written, strict=True) if not ok)
        self._failed(Counter(failed), progress.reason)
        return written

    def _failed(self, counts: Mapping[str, int], reason: str) -> None:
        for step, count in counts.items():
            if count:
                self._observe(LedgerFailed(step=step, count=count, reason=reason))


def _step_name(change: _Change) -> str:
    return "withdrawal" if isinstance(change, _Withdrawal) else change.step
