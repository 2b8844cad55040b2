"""Runs audits for the console, in a thread and an event loop of their own.

Counting a hundred thousand events takes seconds, in which the console has to answer.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from relay.app.auditing import AuditOptions, open_audit
from relay.app.trace import configured_logs
from relay.aws.errors import AwsError
from relay.console.audit_runs import AuditEntry, AuditFailed, AuditRequest, AuditResult
from relay.model.destination import Unavailable
from relay.ops.audit.accepted import Scope
from relay.ops.audit.rerun import failed_events
from relay.ops.audit.state import AuditState, EventRuns, StateConflict
from relay.ops.inngest_api import UnusableAnswer
from relay.ops.trace.timeline import SourceUnavailable
from relay.settings.model import Settings

MAX_FAILED = 200
"""Events of failed runs that are kept for the page."""


class ConsoleAuditor:
    """Audits the orchestrator of the settings; see `Auditor`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        inngest = settings.destination == "inngest"
        self.problem = None if inngest else "only events of Inngest can be audited"
        self.ledger = settings.ledger_table is not None
        self.signals = settings.unheard_signals

    def logs(self) -> Sequence[Path]:
        """The configured log file and its rotated files; see `Auditor`."""
        return configured_logs(self._settings)

    async def audit(self, entry: AuditEntry) -> AuditResult:
        """Run it; see `Auditor`."""
        return await asyncio.to_thread(lambda: asyncio.run(self._audit(entry)))

    async def _audit(self, entry: AuditEntry) -> AuditResult:
        stop = asyncio.Event()
        stopping = asyncio.create_task(asyncio.to_thread(entry.stop.wait))
        stopping.add_done_callback(lambda _: stop.set())
        try:
            with _as_sentences(), tempfile.TemporaryDirectory(prefix="relay-audit-") as directory:
                return await self._run(entry, Path(directory, "audit.state"), stop)
        finally:
            entry.stop.set()  # ends the thread that waits for it
            await stopping

    async def _run(self, entry: AuditEntry, path: Path, stop: asyncio.Event) -> AuditResult:
        options = self._options(entry.request)
        with AuditState(path, {}, {}) as state:
            async with open_audit(self._settings, options, state, stop) as audit:
                report = await audit.run(entry.at)
            failed, count = list[EventRuns](), 0
            for event in failed_events(state):
                count += 1
                if count <= MAX_FAILED:
                    failed.append(event)
            return AuditResult(report, failed, count)

    def _options(self, request: AuditRequest) -> AuditOptions:
        return AuditOptions(
            scope=Scope(since=request.since, until=request.until, names=request.names),
            logs=[Path(log) for log in request.logs],
            ledger=request.source == "ledger",
            signals=request.signals,
        )


@contextmanager
def _as_sentences() -> Iterator[None]:
    try:
        yield
    except Unavailable as error:
        raise AuditFailed(error.reason) from error
    except AwsError as error:
        raise AuditFailed(error.sentence) from error
    except (SourceUnavailable, UnusableAnswer, StateConflict) as error:
        raise AuditFailed(str(error)) from error
    except OSError as error:
        raise AuditFailed(f"a temporary file cannot be written: {error}") from error
