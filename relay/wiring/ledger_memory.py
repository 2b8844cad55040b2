"""The ledger as the tools for dead letters ask it: read only, and with patience."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import islice

from relay.aws.dynamodb import open_table
from relay.aws.errors import QueueError
from relay.dlq.fate import Known, Memory
from relay.ledger import Subject, Table
from relay.ledger.note import KEY, Item, Step, read_note
from relay.ledger.records import READS
from relay.message import Event
from relay.settings import Settings
from relay.wiring.ledger import place
from relay.wiring.session import SharedSession

TRIES = 6
FIRST_PAUSE = 0.1
_STEPS: tuple[Step, ...] = ("sending", "delivered", "dead-lettered")


class LedgerMemory:
    """Recalls events from the table of notes; `where` is the destination and its environment."""

    def __init__(
        self,
        table: Table,
        where: tuple[str, str],
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._table = table
        self._where = where
        self._clock = clock
        self._sleep = sleep

    async def recall(self, events: Sequence[Event]) -> Sequence[Known | None]:
        """What is known of each, in order.

        Raises:
            QueueError: the table does not answer.
        """
        subjects = [Subject.of(event, *self._where) for event in events]
        keys = iter(dict.fromkeys(s.key(step) for s in subjects for step in _STEPS))
        found: dict[str, Item] = {}
        while some := list(islice(keys, READS)):
            found |= await self._read(some)
        return [self._known(subject, found) for subject in subjects]

    async def _read(self, keys: Sequence[str]) -> dict[str, Item]:
        found: dict[str, Item] = {}
        left = list(keys)
        for attempt in range(1, TRIES + 1):
            try:
                items, rest = await self._table.read(left)
                found.update((str(item[KEY]), item) for item in items)
                left = list(rest)
            except QueueError as error:
                if not error.transient or attempt == TRIES:
                    raise
            if not left:
                return found
            await self._sleep(FIRST_PAUSE * 2.0**attempt)
        raise QueueError("Unprocessed", "throttled", "the ledger's table is throttled: try again")

    def _known(self, subject: Subject, found: Mapping[str, Item]) -> Known:
        now = self._clock()
        notes = {
            step: read_note(step, found[key], now)
            for step in _STEPS
            if (key := subject.key(step)) in found
        }
        at = {step: note.at for step, note in notes.items() if note is not None}
        return Known(at.get("sending"), at.get("delivered"), at.get("dead-lettered"))


@contextlib.asynccontextmanager
async def ledger_memory(settings: Settings) -> AsyncIterator[Memory | None]:
    """What the ledger knows, None where the settings name none. Nobody is called yet."""
    if settings.ledger_table is None:
        yield None
        return
    async with AsyncExitStack() as stack:
        opening = open_table(SharedSession(stack), settings.ledger_table, key=KEY)
        yield LedgerMemory(await stack.enter_async_context(opening), place(settings))
