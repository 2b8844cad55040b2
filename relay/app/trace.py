"""Dead letters for `relay trace`: of a snapshot, or of the queue as it is now."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from relay.app.dlq import DeadLetterReader
from relay.app.ledger import ledger_scope
from relay.aws.cloudwatch import search_logs
from relay.aws.dynamodb import open_table
from relay.aws.errors import AwsError
from relay.aws.secrets import Secret
from relay.aws.session import Session, SharedSession
from relay.aws.sqs import Queue, open_queue
from relay.delivery.ledger.table import KEY
from relay.destinations.inngest.queries import InngestQueries
from relay.dlq.pull import pull
from relay.dlq.snapshot import Head, Snapshot
from relay.ops.trace.dead_letters import DEAD_LETTERS, DeadLetterSource
from relay.ops.trace.inngest import INNGEST, InngestSource
from relay.ops.trace.ledger import LedgerSource
from relay.ops.trace.logs import LogFileSource, LogGroupSource
from relay.ops.trace.timeline import (
    KnownIds,
    Source,
    SourceResult,
    SourceUnavailable,
    Trace,
    build_trace,
)
from relay.settings.model import Settings

REACH = 10.0
"""Seconds for one question."""


async def reading(settings: Settings) -> InngestQueries:
    """The server that events go to, to be asked what it stored.

    Raises:
        Unreached: it wants a signing key and there is none, or it cannot be looked up.
    """
    key = settings.inngest_signing_key
    secret = key.get_secret_value() if key else None
    if settings.inngest_signing_key_secret is not None:
        try:
            secret = await Secret(settings.inngest_signing_key_secret).value()
        except AwsError as error:
            raise SourceUnavailable(error.sentence) from error
    if secret is None and settings.cloud:
        raise SourceUnavailable("the Cloud tells nothing without RELAY_INNGEST_SIGNING_KEY: set it")
    return InngestQueries(
        settings.inngest_url,
        signing_key=secret,
        cloud=settings.cloud,
        env=settings.inngest_env,
        timeout=min(REACH, settings.request_timeout),
    )


def snapshot_source(
    settings: Settings,
    session: SharedSession,
    path: Path,
    name: str | None = None,
    left: int = 0,
) -> DeadLetterSource:
    """The letters of a snapshot, read as the relay reads messages.

    Raises:
        relay.dlq.snapshot.Unreadable: it is none.
    """
    snapshot = Snapshot(path)
    reading = DeadLetterReader(settings, session, snapshot.head.main)
    return DeadLetterSource(
        name or path.name,
        snapshot,
        reading.read,
        snapshot.head.retention,
        unread=reading.unread,
        fifo=snapshot.head.fifo,
        left=left,
    )


class LiveDeadLetterSource:
    """The dead-letter queue as it is now: received once into a file, and released.

    Args:
        settings: name the queues.
        session: of AWS.
        directory: takes the file; the caller removes it.
        poll: seconds that each receive waits; 0 asks only some of SQS's servers.
    """

    name = DEAD_LETTERS

    def __init__(
        self, settings: Settings, session: SharedSession, directory: Path, poll: float
    ) -> None:
        self._settings = settings
        self._session = session
        self._path = directory / "now.jsonl"
        self._poll = poll
        self._letters: DeadLetterSource | None = None

    async def find(self, known: KnownIds) -> SourceResult:
        """The letters of the story; the queue is gone through at the first call only.

        Raises:
            Unreached: there is no such queue, or it cannot be received from.
        """
        try:
            self._letters = self._letters or await self._taken()
        except AwsError as error:
            raise SourceUnavailable(error.sentence) from error
        return await self._letters.find(known)

    async def _taken(self) -> DeadLetterSource:
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
        return snapshot_source(self._settings, self._session, self._path, DEAD_LETTERS, end.left)


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
        raise SourceUnavailable(
            "no dead-letter queue is known: set RELAY_DLQ_URL or RELAY_QUEUE_URL"
        )
    async with open_queue(session, reference) as queue:
        yield queue, main


def _silent(_count: int) -> None:
    """Progress of a queue that is looked at on the side is told to nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """Where to look. `since` is in epoch seconds.

    `peek` receives the dead letters once, in polls that wait `poll` seconds each.
    """

    name: str | None = None
    since: float = 0.0
    logs: Sequence[Path] = ()
    log_group: str | None = None
    snapshots: Sequence[Path] = ()
    scan_dlq: bool = False
    poll: float = 1.0


async def trace_event(asked: str, settings: Settings, wanted: TraceOptions) -> Trace:
    """The story of what is asked for.

    Raises:
        relay.dlq.snapshot.Unreadable: a snapshot is none.
    """
    known = KnownIds(asked)
    if wanted.name is not None:
        known.events.add((wanted.name, asked))
    async with AsyncExitStack() as stack:
        session = SharedSession(stack)
        sources: list[Source] = [LogFileSource(wanted.logs)] if wanted.logs else []
        if wanted.log_group is not None:
            search = partial(_search, session, wanted.log_group, wanted.since)
            sources.append(LogGroupSource(search))
        sources += [snapshot_source(settings, session, path) for path in wanted.snapshots]
        if wanted.scan_dlq:
            directory = tempfile.TemporaryDirectory(prefix="relay-trace-")
            path = Path(stack.enter_context(directory))
            sources.append(LiveDeadLetterSource(settings, session, path, wanted.poll))
        if settings.ledger_table is not None:
            opening = open_table(session, settings.ledger_table, key=KEY)
            table = await stack.enter_async_context(opening)
            sources.append(LedgerSource(table, *ledger_scope(settings)))
        if settings.destination == "inngest":
            sources.append(_Server(settings, wanted.since, stack))
        return await build_trace(known, sources)


async def _search(
    session: SharedSession, group: str, since: float, word: str
) -> tuple[list[str], bool]:
    return await search_logs(await session(), group, word, since)


class _Server:
    """The orchestrator, whose key is looked up when it is first asked."""

    name = INNGEST

    def __init__(self, settings: Settings, since: float, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._since = since
        self._stack = stack
        self._stored: InngestSource | None = None

    async def find(self, known: KnownIds) -> SourceResult:
        """What it stored and ran."""
        if self._stored is None:
            questions = await self._stack.enter_async_context(await reading(self._settings))
            self._stored = InngestSource(questions, since=self._since)
        return await self._stored.find(known)
