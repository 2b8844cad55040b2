"""Restoring: messages of a snapshot or a backup become messages of a queue again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from relay.aws.sqs_values import BATCH_ENTRIES
from relay.dlq.dead_letter import DeadLetter
from relay.dlq.duplicates import Identity
from relay.dlq.journal import Journal, JournalEntry
from relay.dlq.queue_target import AddressedMessage, QueueTarget
from relay.dlq.selection import BLOCKED, FILTERED, UNREAD, Counts, Selection, Skipped, without_id
from relay.model.message import Message

WINDOW = 4 * BATCH_ENTRIES
"""Letters under way at a time."""


@dataclass(frozen=True, slots=True)
class _Item:
    letter: DeadLetter
    load: AddressedMessage


class Restoring:
    """Sends what is meant, in the order of the file; what the journal knows is not sent again.

    A file that holds a message twice, as a backup after a kill may, is sent once.
    """

    def __init__(self, journal: Journal, road: QueueTarget, selection: Selection) -> None:
        self._journal = journal
        self._road = road
        self._errand = selection
        self._seen = set(journal.brought)
        self._blocked: set[str | None] = set()
        self.counts = Counts()

    async def execute(
        self,
        messages: Iterable[Message],
        stop: asyncio.Event,
        progress: Callable[[Counts], None],
    ) -> Counts:
        """Send all.

        Raises:
            AwsError: the queue takes no more.
            OSError: the journal cannot be written.
        """
        for window in _windows(messages):
            if stop.is_set():
                self.counts.interrupted = True
                break
            items = [item for message in window if (item := await self._ready(message))]
            await self._send(items)
            progress(self.counts)
        return self.counts

    async def _ready(self, message: Message) -> _Item | None:
        if message.message_id in self._seen:
            return None
        self._seen.add(message.message_id)
        self.counts.met += 1
        letter = await self._errand.read(message)
        load: AddressedMessage | Skipped = Skipped(FILTERED, "it does not pass the filters")
        if self._errand.meant(letter):
            load = UNREAD if without_id(letter) else await self._road.ready(letter)
        if isinstance(load, AddressedMessage) and load.message.group_id in self._blocked:
            load = BLOCKED
        if isinstance(load, Skipped):
            self.counts.stay(load)
            return None
        return _Item(letter, load)

    async def _send(self, items: list[_Item]) -> None:
        if not items:
            return
        results = await self._road.carry([item.load for item in items])
        noted = []
        for item, result in zip(items, results, strict=True):
            message_id = item.letter.message.message_id
            if isinstance(result, Skipped):
                self.counts.stay(result)
                if item.load.target.queue.fifo:
                    self._blocked.add(item.load.message.group_id)
            else:
                identity = Identity(message_id, "")
                noted.append(JournalEntry(message_id, identity, None, 0, result.reference))
        self._journal.note_brought(noted)
        await self._journal.commit()
        self.counts.brought += len(noted)


def _windows(messages: Iterable[Message]) -> Iterator[list[Message]]:
    rest = iter(messages)
    while window := list(itertools.islice(rest, WINDOW)):
        yield window
