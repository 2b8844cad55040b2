"""Plans and executes what the console is asked for, by the code of the `relay dlq` commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from relay.app.audit import audit
from relay.app.destinations.traits import traits_lookup
from relay.app.dlq import DeadLetterReader
from relay.app.redrive import Redrive, Resources, open_resources
from relay.app.redrive_options import RedriveOptions, filter_options, restore_options
from relay.aws.errors import AwsError
from relay.console.run_request import RunRequest
from relay.console.runs import Planned, RunFailed
from relay.dlq.drop import Drop
from relay.dlq.edit import load_edit
from relay.dlq.execution import Pace, not_written
from relay.dlq.journal import Journal, JournalConflict, who
from relay.dlq.queue_pair import NoQueue, QueuePair, open_queue_pair
from relay.dlq.restore import Restore
from relay.dlq.selection import Counts
from relay.dlq.snapshot import Snapshot, Unreadable
from relay.dlq.watch import Watch
from relay.settings.missing import missing
from relay.settings.model import Settings


class DlqOperator:
    """Works on the configured dead-letter queue.

    Args:
        settings: of the relay.
        wait: seconds that each receive waits, so that SQS queries all of its servers.
    """

    def __init__(self, settings: Settings, wait: float) -> None:
        self._settings = settings
        self._pace = Pace(wait=wait)

    async def plan(self, request: RunRequest, watch: Watch) -> Planned:
        """What a run would do now; see `Operator`."""
        async with self._opened(request, watch) as (queues, operation, reader, ledger):
            plan = await operation.plan()
            why = next(iter(reader.unread.values()), "")
            return Planned(
                plan=plan,
                queue=queues.dead.name,
                ledger=ledger,
                unread=len(reader.unread),
                why_unread=why,
            )

    async def execute(
        self, request: RunRequest, journal: Path, began_at: float, watch: Watch
    ) -> Counts:
        """Do it; see `Operator`."""
        async with self._opened(request, watch) as (queues, operation, _, _):
            options = self._options(request)
            with _opened_journal(journal, queues, request, options, began_at) as opened:
                counts: Counts = await operation.execute(opened)
                audit(
                    self._settings, opened, request.command, {**options, "via": "console"}, counts
                )
            return counts

    @asynccontextmanager
    async def _opened(
        self, request: RunRequest, watch: Watch
    ) -> AsyncIterator[tuple[QueuePair, Any, DeadLetterReader, bool]]:
        """The queues, the operation, its reader, and whether the ledger is read."""
        try:
            self._check(request)
            async with (
                open_queue_pair(
                    dlq=None,
                    main=None,
                    configured_dlq=self._settings.dlq_url,
                    configured_main=self._settings.queue_url,
                    warn=watch.warn,
                ) as queues,
                open_resources(self._settings, queues, None) as resources,
            ):
                _check_queue(request, queues)
                create = self._creator(request, queues, resources, watch)
                # It reads the whole snapshot, which may take seconds.
                operation = await asyncio.to_thread(create)
                yield queues, operation, resources.reader, resources.ledger is not None
        except (NoQueue, Unreadable, JournalConflict) as error:
            raise RunFailed(str(error)) from error
        except AwsError as error:
            raise RunFailed(error.sentence) from error

    def _check(self, request: RunRequest) -> None:
        """Refuse a canary where nothing can be delivered from here: it would only time out."""
        problems = missing(self._settings) if request.canary is not None else ()
        if problems:
            raise RunFailed(
                f"a canary is delivered from this machine, and {'; '.join(problems)}. Or leave the"
                " canary empty"
            )

    def _creator(
        self, request: RunRequest, queues: QueuePair, resources: Resources, watch: Watch
    ) -> Callable[[], Any]:
        settings, read = self._settings, resources.reader.read
        if request.command == "redrive":
            return lambda: Redrive(settings, resources, self._redrive_options(request), watch)
        if request.command == "drop":
            traits_of = traits_lookup(settings)
            return lambda: Drop(
                queues,
                read,
                request.filters,
                traits_of,
                self._pace,
                watch,
                snapshot=request.snapshot,
                matching=request.matching,
            )

        def restore() -> Restore:
            snapshot = Snapshot(request.snapshot)
            for _ in snapshot:  # a damaged file ends it before it begins
                pass
            return Restore(snapshot, read, request.filters, queues.dead, watch)

        return restore

    def _redrive_options(self, request: RunRequest) -> RedriveOptions:
        return RedriveOptions(
            filters=request.filters,
            snapshot=request.snapshot,
            matching=request.matching,
            limit=request.limit,
            canary=request.canary,
            edit_text=request.edit,
            edit=None if request.edit is None else load_edit(request.edit),
            rerun=request.rerun,
            include_failing=request.include_failing,
            pace=Pace(wait=self._pace.wait, lease=self._pace.lease, rate=request.rate),
        )

    def _options(self, request: RunRequest) -> dict[str, Any]:
        """What the journal of the command has."""
        if request.command == "redrive":
            return self._redrive_options(request).resume_options
        if request.command == "drop":
            return filter_options(request.filters)
        return restore_options(request.filters, request.snapshot, None)


@contextmanager
def _opened_journal(
    directory: Path,
    queues: QueuePair,
    request: RunRequest,
    options: Mapping[str, Any],
    began_at: float,
) -> Iterator[Journal]:
    """The journal, which knows what was asked for, so that a later console can resume the run."""
    named = {"command": request.command, **options}
    resumed = directory.exists()
    try:
        journal = Journal(directory, queues.head, named, clock=lambda: began_at)
    except OSError as error:
        raise RunFailed(f"{directory} cannot be written: {error.strerror}") from error
    try:
        journal.record(**({"resumed_by": who()} if resumed else {"request": request.as_json()}))
        journal.flush()
        yield journal
    except BaseException:
        with suppress(OSError):  # the first error is the one to report
            journal.close()
        raise
    try:
        journal.close()
    except OSError as error:
        raise RunFailed(not_written(journal, error)) from error


def _check_queue(request: RunRequest, queues: QueuePair) -> None:
    """Refuse the snapshot of another queue."""
    head = Snapshot(request.snapshot).head
    if head.arn != queues.dead.arn:
        raise RunFailed(
            f"{request.snapshot} is of the queue {head.queue}, and this console works on"
            f" {queues.dead.name}"
        )
