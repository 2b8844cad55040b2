"""Deleting what was brought away: only that, and only while it is surely ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from relay.aws.errors import QueueError
from relay.aws.sqs import Queue
from relay.dlq.holding import Holding
from relay.dlq.journal import Journal

ATTEMPTS = 4
FIRST_PAUSE = 0.2


class Deletion:
    """Deletes by the newest handle. A lapsed lease proves nothing: then the letter comes again.

    `count` is what SQS agreed to, `holding` what is in hand.
    """

    def __init__(
        self,
        queue: Queue,
        holding: Holding,
        journal: Journal,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._queue = queue
        self.holding = holding
        self._journal = journal
        self._sleep = sleep
        self._owed: set[str] = set()
        self.count = 0

    @property
    def owed(self) -> int:
        """Letters that SQS was asked to delete and did not agree to."""
        return len(self._owed)

    async def delete(self, message_ids: Sequence[str]) -> None:
        """Delete these; what SQS refuses is owed.

        Raises:
            QueueError: it refuses all, and will again.
        """
        left = list(message_ids)
        if not left:
            return
        self._owed.update(left)
        for attempt in range(1, ATTEMPTS + 1):
            left = await self._try(left)
            if not left or attempt == ATTEMPTS:
                return
            await self._sleep(FIRST_PAUSE * 2.0**attempt)

    async def finish(self) -> None:
        """Try once more what is owed."""
        if self._owed:
            await self._try(list(self._owed))

    async def _try(self, message_ids: Sequence[str]) -> list[str]:
        """Those that are left."""
        ours = [(i, handle) for i in message_ids if (handle := self.holding.handle(i))]
        if not ours:
            return []
        try:
            results = await self._queue.delete([handle for _, handle in ours])
        except QueueError as error:
            if not error.transient:
                raise
            return [message_id for message_id, _ in ours]
        done = {i for (i, _), failed in zip(ours, results, strict=True) if failed is None}
        for message_id in done:
            self.holding.let_go(message_id)
        self._owed -= done
        self.count += len(done)
        self._journal.note_deleted(done)
        return [message_id for message_id, _ in ours if message_id not in done]
