"""Dead letters for `relay trace`: of a snapshot, or of the queue as it is now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from relay.aws.errors import QueueError
from relay.aws.session import Session
from relay.aws.sqs import Queue, open_queue
from relay.dlq.pulling import pull
from relay.dlq.snapshot import Head, Snapshot
from relay.settings import Settings
from relay.story.known import Found, Known, Unreached
from relay.story.letters import SOURCE, Letters
from relay.wiring.letters import Reading
from relay.wiring.session import SharedSession


def letters_of(
    settings: Settings,
    session: SharedSession,
    path: Path,
    name: str | None = None,
    left: int = 0,
) -> Letters:
    """The letters of a snapshot, read as the relay reads messages.

    Raises:
        relay.dlq.snapshot.Unreadable: it is none.
    """
    snapshot = Snapshot(path)
    reading = Reading(settings, session, snapshot.head.main)
    return Letters(
        name or path.name,
        snapshot,
        reading.read,
        snapshot.head.retention,
        unread=reading.unread,
        fifo=snapshot.head.fifo,
        left=left,
    )


class Peek:
    """The dead-letter queue as it is now: received once into a file, and released.

    Args:
        settings: name the queues.
        session: of AWS.
        directory: takes the file; the caller removes it.
        poll: seconds that each receive waits; 0 asks only some of SQS's servers.
    """

    name = SOURCE

    def __init__(
        self, settings: Settings, session: SharedSession, directory: Path, poll: float
    ) -> None:
        self._settings = settings
        self._session = session
        self._path = directory / "now.jsonl"
        self._poll = poll
        self._letters: Letters | None = None

    async def find(self, known: Known) -> Found:
        """The letters of the story; the queue is gone through at the first call only.

        Raises:
            Unreached: there is no such queue, or it cannot be received from.
        """
        try:
            self._letters = self._letters or await self._taken()
        except QueueError as error:
            raise Unreached(error.sentence) from error
        return await self._letters.find(known)

    async def _taken(self) -> Letters:
        async with _dead_letter_queue(self._settings, await self._session()) as (queue, main):
            counts = await queue.attributes()
            head = Head(
                queue=queue.name,
                arn=queue.arn,
                taken_at=time.time(),
                retention=counts.retention,
                fifo=queue.fifo,
                main=main,
            )
            end, _ = await pull(
                queue,
                self._path,
                head,
                waiting=counts.visible,
                wait=self._poll,
                stop=asyncio.Event(),
                progress=_silent,
            )
        return letters_of(self._settings, self._session, self._path, SOURCE, end.left)


@asynccontextmanager
async def _dead_letter_queue(
    settings: Settings, session: Session
) -> AsyncIterator[tuple[Queue, str | None]]:
    """The queue, and the name of the main one where it is known."""
    reference, main = settings.dlq_url, None
    if settings.queue_url is not None:
        async with open_queue(session, settings.queue_url) as source:
            policy = (await source.attributes()).redrive
            reference = reference or (policy.target_arn if policy else None)
            main = source.name
    if reference is None:
        raise Unreached("no dead-letter queue is known: set RELAY_DLQ_URL or RELAY_QUEUE_URL")
    async with open_queue(session, reference) as queue:
        yield queue, main


def _silent(_count: int) -> None:
    """Progress of a queue that is looked at on the side is told to nobody."""
