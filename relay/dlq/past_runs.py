"""Past runs: what their journals say about who did what, when and with what result."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

from relay.dlq.journal import BACKUP, FORMAT, JOURNAL
from relay.dlq.records import Damaged, read_record

TAIL = 262_144
"""Bytes at the end of a journal in which its result is looked for."""

MAX_LINE = 16 * 1_048_576
"""Bytes of a line that is read at all. The options of a run may hold thousands of ids."""

_COUNTS = (
    "received",
    "done",
    "duplicates",
    "deleted",
    "not_deleted",
    "missing",
    "not_received",
)

State: TypeAlias = Literal["running", "unfinished", "stopped", "failed", "partial", "complete"]
"""`unfinished` has no result: its process was killed, or it is running on another machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A run as its journal has it.

    Attributes:
        directory: of the journal and the backup.
        command: `redrive`, `drop` or `restore`.
        queue: the dead-letter queue's name.
        by: the user and host that began it.
        began_at: epoch seconds.
        options: those that a resumed run must repeat.
        request: how the console was asked for it; None if it was a command.
        running: whether a process on this machine is using the journal.
        result: the last audit line, if the run ended by itself.
        resumed_by: who resumed it last.
    """

    directory: Path
    command: str
    queue: str
    by: str
    began_at: float
    options: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] | None = None
    running: bool = False
    result: Mapping[str, Any] | None = None
    resumed_by: str | None = None

    @property
    def state(self) -> State:
        """How it ended, if it did."""
        if self.running:
            return "running"
        if self.result is None:
            return "unfinished"
        if self.result.get("failed"):
            return "failed"
        if self.result.get("stopped") or self.result.get("interrupted"):
            return "stopped"
        left = (self.result.get(name) for name in ("reasons", "not_deleted", "missing"))
        return "partial" if any((*left, self.result.get("not_received"))) else "complete"

    @property
    def resumable(self) -> bool:
        """Whether it makes sense to go on with it."""
        left = bool(self.result and self.result.get("not_deleted"))
        return self.state in ("unfinished", "failed", "stopped") or (
            self.state == "partial" and left
        )

    @property
    def backup(self) -> Path:
        """The messages that it sent or deleted."""
        return self.directory / BACKUP


def past_runs(parent: Path, most: int) -> list[PastRun]:
    """The latest runs whose journals are in folders of this one, the latest first.

    Args:
        parent: a folder.
        most: how many to return.
    """
    found = [
        (run.began_at, run.directory.name, run)
        for path in parent.glob(f"*/{JOURNAL}")
        if (run := _begun(path)) is not None
    ]
    latest = sorted(found, key=lambda one: one[:2], reverse=True)[:most]
    return [_with_end(run) for _, _, run in latest]


def past_run(directory: Path) -> PastRun | None:
    """The run whose journal is in this folder, if there is one that can be read."""
    run = _begun(directory / JOURNAL)
    return None if run is None else _with_end(run)


def last_change(parent: Path, queue: str, since: float) -> PastRun | None:
    """The run that changed a dead-letter queue last, if it did after `since`, in epoch seconds.

    Args:
        parent: a folder; the journals in its folders are looked at.
        queue: the queue's name.
        since: what ended before is not looked for.
    """
    written = [(at, path) for path in parent.glob(f"*/{JOURNAL}") if (at := _written(path)) > since]
    runs = (past_run(path.parent) for _, path in sorted(written, reverse=True))
    return next((run for run in runs if run and run.queue == queue and _changed(run)), None)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # removed since
        return 0.0


def _changed(run: PastRun) -> bool:
    """Whether it did something, as far as is known."""
    names = ("done", "duplicates", "deleted")
    return run.result is None or any(run.result.get(name) for name in names)


def done_in(directory: Path) -> int:
    """How many dead letters a journal has as done. Reads all of it."""
    ids = set[Any]()
    with _opened(directory / JOURNAL) as file:
        for record in _records(file):
            rows = record.get("done")
            ids.update(row[0] for row in (rows if isinstance(rows, list) else ()) if row)
    return len(ids)


def _begun(path: Path) -> PastRun | None:
    """The run by the first lines of its journal."""
    try:
        with _opened(path) as file:
            records = _records(file)
            start = next(records, {})
            second = next(records, {})
    except OSError:
        return None
    options = start.get("options")
    if start.get("journal") != FORMAT or not isinstance(options, dict):
        return None
    request = second.get("request")
    return PastRun(
        directory=path.parent,
        command=_text(options.get("command")),
        queue=_text(start.get("queue")).rpartition(":")[2],
        by=_text(start.get("by")),
        began_at=_number(start.get("began_at")),
        options={name: value for name, value in options.items() if name != "command"},
        request=request if isinstance(request, dict) else None,
    )


def _with_end(run: PastRun) -> PastRun:
    """The run with what the end of its journal says."""
    result, resumed_by = None, None
    try:
        with _opened(run.directory / JOURNAL) as file:
            running = _is_locked(file)
            for record in _records(file, tail=True):
                audit, resumed = record.get("audit"), record.get("resumed_by")
                result = _result(audit) if isinstance(audit, dict) else None
                resumed_by = resumed if isinstance(resumed, str) else resumed_by
    except OSError:
        running = False
    return PastRun(
        directory=run.directory,
        command=run.command,
        queue=run.queue,
        by=run.by,
        began_at=run.began_at,
        options=run.options,
        request=run.request,
        running=running,
        result=result,
        resumed_by=resumed_by,
    )


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


def _is_locked(file: BinaryIO) -> bool:
    """Whether a run holds the journal. The lock that this takes is released at once."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _records(file: BinaryIO, *, tail: bool = False) -> Iterator[dict[str, Any]]:
    """The complete lines, or those in the last bytes. Damaged ones are left out."""
    size = file.seek(0, 2)
    file.seek(max(0, size - TAIL) if tail else 0)
    while line := file.readline(MAX_LINE):
        try:
            record = read_record(line.rstrip(b"\n"))
        except Damaged:
            continue
        if isinstance(record, dict):
            yield record


def _result(audit: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an audit line that a reader relies on, each of its type."""
    found: dict[str, Any] = {name: v for name in _COUNTS if isinstance(v := audit.get(name), int)}
    texts = ("stopped", "failed", "by", "via")
    found |= {name: value for name in texts if isinstance(value := audit.get(name), str)}
    found["interrupted"] = audit.get("interrupted") is True
    for name, kind in (("skipped", int), ("reasons", str)):
        given = audit.get(name)
        pairs = given.items() if isinstance(given, dict) else ()
        found[name] = {key: value for key, value in pairs if isinstance(value, kind)}
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
