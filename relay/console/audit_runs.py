"""The audits that operators asked for, and the one that may be under way."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from relay.console.access import Refused
from relay.ops.audit.report import AuditReport
from relay.ops.audit.state import EventRuns

_log = logging.getLogger(__name__)

MAX_AUDITS = 10
"""Results that are kept. Whoever opens an older one runs the audit again."""

STOP_DEADLINE = 10.0
"""Seconds for the requests under way when the console stops."""

Source: TypeAlias = Literal["list", "log", "ledger"]

_UNEXPECTED = "an error that was not expected ended it: the console's output has it"


class AuditFailed(Exception):
    """The audit cannot be done. The text is a sentence for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRequest:
    """What to audit.

    Attributes:
        since_text: the begin of the time window, as it was typed.
        to_text: its end, as it was typed; empty for now.
        since: the begin in epoch seconds.
        until: the end in epoch seconds.
        names: patterns for event names; every name if there are none.
        source: where the accepted events are listed.
        logs: the log files, for the source `log`.
        signals: patterns for the names of events that steps wait for.
    """

    since_text: str
    to_text: str = ""
    since: float
    until: float
    names: tuple[str, ...] = ()
    source: Source = "list"
    logs: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()

    def command_line(self, *more: str) -> str:
        """The command that does the same."""
        words = ["relay", "audit", "--since", self.since_text]
        words += ["--to", self.to_text] if self.to_text else []
        words += ["--ledger"] if self.source == "ledger" else []
        repeated = {"--name": self.names, "--log": self.logs, "--signal": self.signals}
        words += [
            word for option, values in repeated.items() for v in values for word in (option, v)
        ]
        return shlex.join([*words, *more])


@dataclass(frozen=True, slots=True)
class AuditResult:
    """The report, the first of the events of failed runs, and how many of these there are."""

    report: AuditReport
    failed: Sequence[EventRuns]
    failed_count: int


@dataclass(slots=True)
class AuditEntry:
    """An audit that is under way or has ended.

    `looked` of `known` accepted events were looked up. To stop it after the requests under way, set
    `stop`, which any thread may do.
    """

    id: str
    request: AuditRequest
    began_at: float
    looked: int = 0
    known: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    result: AuditResult | None = None
    problem: str | None = None

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self.result is None and self.problem is None

    def at(self, looked: int, known: int) -> None:
        """So many are looked up, of so many."""
        self.looked, self.known = looked, known


class Auditor(Protocol):
    """Runs audits, as `relay audit` does.

    `problem` says why none can be run; None if they can. `ledger` says whether there is a ledger,
    and `signals` are patterns for the names of events that steps wait for.
    """

    problem: str | None
    ledger: bool
    signals: tuple[str, ...]

    def logs(self) -> Sequence[Path]:
        """The configured log file and its rotated files; none if none is configured."""
        ...

    async def audit(self, entry: AuditEntry) -> AuditResult:
        """Run it, and report the progress to the entry. Nothing is changed.

        Raises:
            AuditFailed: it cannot be done.
        """
        ...


class Audits:
    """Runs audits, one at a time: each sends many requests to the orchestrator.

    Args:
        auditor: does the work.
        clock: seconds since the epoch.
    """

    def __init__(self, auditor: Auditor, clock: Callable[[], float] = time.time) -> None:
        self._auditor = auditor
        self._clock = clock
        self._entries: dict[str, AuditEntry] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def latest(self) -> Sequence[AuditEntry]:
        """Those that are kept, the latest first."""
        return [*reversed(self._entries.values())]

    def begin(self, request: AuditRequest) -> AuditEntry:
        """Begin an audit; the oldest result is forgotten if there are too many.

        Raises:
            Refused: another one is under way.
        """
        if self._task is not None and not self._task.done():
            raise Refused(
                409,
                "audit_under_way",
                "an audit is under way: wait until it has ended, or stop it",
            )
        entry = AuditEntry(secrets.token_hex(8), request, self._clock())
        self._entries[entry.id] = entry
        self._task = asyncio.create_task(self._run(entry))
        while len(self._entries) > MAX_AUDITS:
            del self._entries[next(iter(self._entries))]
        return entry

    def entry(self, ident: str) -> AuditEntry:
        """The audit with this id.

        Raises:
            Refused: it is not kept any more.
        """
        if ident not in self._entries:
            raise Refused(404, "no_such_audit", "this audit is not kept any more: run it again")
        return self._entries[ident]

    async def close(self) -> None:
        """Stop the audit that is under way after its requests under way."""
        for entry in self._entries.values():
            entry.stop.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=STOP_DEADLINE)
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self, entry: AuditEntry) -> None:
        try:
            entry.result = await self._auditor.audit(entry)
        except AuditFailed as error:
            entry.problem = str(error)
        except Exception:  # noqa: BLE001 - the page must say that it failed, and the log why
            _log.exception("an audit failed")
            entry.problem = _UNEXPECTED
