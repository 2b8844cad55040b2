"""Trace one event: open the sources that the options and settings name, and query them."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from relay.app.destinations.lookup import id_there
from relay.app.destinations.reading import open_inngest
from relay.app.dlq import DeadLetterReader
from relay.app.ledger import ledger_scope
from relay.aws.cloudwatch import search_logs
from relay.aws.dynamodb import open_table
from relay.aws.errors import AwsError
from relay.aws.session import Session, SharedSession
from relay.aws.sqs import Queue, open_queue
from relay.delivery.ledger.table import KEY
from relay.dlq.pull import pull
from relay.dlq.snapshot import Head, Snapshot
from relay.ops.trace.dead_letters import DEAD_LETTERS, DeadLetterSource
from relay.ops.trace.inngest import INNGEST, InngestSource
from relay.ops.trace.ledger import LedgerSource
from relay.ops.trace.logs import LogFileSource, LogGroupSource
from relay.ops.trace.timeline import (
    KnownIds,
    NotQueried,
    Source,
    SourceResult,
    SourceUnavailable,
    Trace,
    build_trace,
)
from relay.settings.model import Settings


def snapshot_source(
    settings: Settings,
    session: SharedSession,
    path: Path,
    *,
    live: bool = False,
    left: int = 0,
) -> DeadLetterSource:
    """The dead letters of a snapshot, decoded as the relay decodes messages.

    `live` is for one that was taken just now, from which nothing can be missing.

    Raises:
        relay.dlq.snapshot.Unreadable: the file is not a snapshot.
    """
    snapshot = Snapshot(path)
    reader = DeadLetterReader(settings, session, snapshot.head.main)
    return DeadLetterSource(
        DEAD_LETTERS if live else path.name,
        snapshot,
        reader.read,
        snapshot.head.retention,
        unread=reader.unread,
        fifo=snapshot.head.fifo,
        left=left,
        taken_at=None if live else snapshot.head.taken_at,
    )


class LiveDeadLetterSource:
    """The dead-letter queue itself: every message is received once into a file, then released.

    Args:
        settings: the settings, which name the queues.
        session: the AWS session.
        directory: where the file is written; the caller removes it.
        poll: seconds that each receive waits; with 0 SQS queries only some of its servers.
    """

    name = DEAD_LETTERS

    def __init__(
        self, settings: Settings, session: SharedSession, directory: Path, poll: float
    ) -> None:
        self._settings = settings
        self._session = session
        self._path = directory / "now.jsonl"
        self._poll = poll
        self._pulled: DeadLetterSource | None = None

    async def find(self, known: KnownIds) -> SourceResult:
        """Find the dead letters of the event. Only the first call receives messages.

        Raises:
            SourceUnavailable: there is no such queue, or receiving from it fails.
        """
        try:
            self._pulled = self._pulled or await self._pull()
        except AwsError as error:
            raise SourceUnavailable(error.sentence) from error
        return await self._pulled.find(known)

    async def _pull(self) -> DeadLetterSource:
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
                progress=_no_progress,
            )
        return snapshot_source(self._settings, self._session, self._path, live=True, left=end.left)


@asynccontextmanager
async def _dead_letter_queue(
    settings: Settings, session: Session
) -> AsyncIterator[tuple[Queue, str | None]]:
    """Open the dead-letter queue; also yields the name of the main queue if it is known."""
    reference, main = settings.dlq_url, None
    if settings.queue_url is not None:
        async with open_queue(session, settings.queue_url) as source:
            policy = (await source.attributes()).redrive
            reference = reference or (policy.target_arn if policy else None)
            main = source.name
    if reference is None:
        raise SourceUnavailable(
            "no dead-letter queue is configured: set RELAY_DLQ_URL or RELAY_QUEUE_URL"
        )
    async with open_queue(session, reference) as queue:
        yield queue, main


def _no_progress(_count: int) -> None:
    """Ignore the progress of the pull: `relay trace` does not show any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """Which sources to search.

    Attributes:
        name: the event's name, if the user gave it.
        environment: the environment that its producer asked for, if the user gave it.
        since: epoch seconds; older log lines and events are not searched.
        logs: log files.
        log_group: a CloudWatch log group.
        snapshots: snapshots of the dead-letter queue.
        scan_dlq: whether to receive every message in the dead-letter queue once.
        poll: seconds that each receive waits then.
    """

    name: str | None = None
    environment: str | None = None
    since: float = 0.0
    logs: Sequence[Path] = ()
    log_group: str | None = None
    snapshots: Sequence[Path] = ()
    scan_dlq: bool = False
    poll: float = 1.0


def configured_logs(settings: Settings) -> list[Path]:
    """The log file in the settings and its rotated files, the oldest first."""
    if settings.log_file is None:
        return []
    path = Path(settings.log_file)
    return sorted(path.parent.glob(f"{path.name}*"), reverse=True)


async def trace_event(
    ident: str, settings: Settings, options: TraceOptions, more: Sequence[Source] = ()
) -> Trace:
    """Build the trace of the event with this id, from `more` sources too.

    Raises:
        relay.dlq.snapshot.Unreadable: a file is not a snapshot.
    """
    known = KnownIds(ident)
    if options.name is not None:
        known.events.add((options.name, ident))
    if options.environment is not None:
        known.environments.add(options.environment)
        settings = settings.model_copy(update={"inngest_env": options.environment})
    async with AsyncExitStack() as stack:
        session = SharedSession(stack)
        sources: list[Source] = [LogFileSource(options.logs)] if options.logs else []
        if options.log_group is not None:
            search = partial(_search, session, options.log_group, options.since)
            sources.append(LogGroupSource(search))
        sources += [snapshot_source(settings, session, path) for path in options.snapshots]
        if options.scan_dlq:
            directory = tempfile.TemporaryDirectory(prefix="relay-trace-")
            path = Path(stack.enter_context(directory))
            sources.append(LiveDeadLetterSource(settings, session, path, options.poll))
        sources += more
        if settings.ledger_table is not None:
            opening = open_table(session, settings.ledger_table, key=KEY)
            table = await stack.enter_async_context(opening)
            sources.append(LedgerSource(table, *ledger_scope(settings)))
        for name in settings.destinations:
            if name == "inngest":
                sources.append(_LazyInngestSource(settings, options.since, stack))
            else:
                sources.append(NotQueried(name, partial(id_there, settings, name)))
        return await build_trace(known, sources)


async def _search(
    session: SharedSession, group: str, since: float, term: str
) -> tuple[list[str], bool]:
    return await search_logs(await session(), group, term, since)


class _LazyInngestSource:
    """The Inngest server, opened at the first query, when its key is looked up."""

    name = INNGEST

    def __init__(self, settings: Settings, since: float, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._since = since
        self._stack = stack
        self._source: InngestSource | None = None

    async def find(self, known: KnownIds) -> SourceResult:
        """Find the stored events and their runs."""
        if self._source is None:
            queries = await self._stack.enter_async_context(await open_inngest(self._settings))
            self._source = InngestSource(queries, since=self._since)
        return await self._source.find(known)
