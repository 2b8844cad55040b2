"""The journal of a run: its options, and which dead letters are done and deleted."""

from __future__ import annotations

import getpass
import itertools
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from relay.dlq.duplicates import Identity, Redriven
from relay.dlq.records import Damaged, DurableLines, message_to_fields, read_record, write_record
from relay.dlq.snapshot import Head, head_fields
from relay.model.message import Message
from relay.output.private_files import make_private_directory

FORMAT = 2
JOURNAL, BACKUP = "journal.jsonl", "backup.jsonl"


class JournalConflict(Exception):
    """The directory cannot be used for this run. The text is a sentence."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A dead letter that its target has safely, so that it may be deleted from the queue.

    `seen_at` is when it was certainly still in the queue, by SQS's own clock; `reference` is the
    target's own id for it.
    """

    message_id: str
    identity: Identity
    seen_at: float | None
    hops: int
    reference: str | None


class Journal:
    """One run's directory: its journal, and the backup of every dead letter that it sends.

    Raises:
        JournalConflict: the journal is of another run, damaged, or in use by another process.
        OSError: it cannot be written.

    Attributes:
        id: of the run, the same when the run is resumed.
        began_at: when the run first began, in epoch seconds.
        done: MessageIds of dead letters that their target has safely.
        deleted: those of them whose deletion SQS confirmed.
        redriven: the dead letters that are done, by the hash of their events' ids.
    """

    def __init__(
        self,
        directory: Path,
        head: Head,
        options: Mapping[str, Any],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        make_private_directory(directory)
        self.directory = directory
        self.done: set[str] = set()
        self.deleted: set[str] = set()
        self.redriven: dict[str, Redriven] = {}
        self._journal = _locked(directory / JOURNAL)
        try:
            self._begin(head, options, clock)
            self._backup = DurableLines(directory / BACKUP)
        except BaseException:
            self._journal.close()
            raise
        if not (directory / BACKUP).stat().st_size:
            self._backup.append(write_record(head_fields(head)))

    def _begin(self, head: Head, options: Mapping[str, Any], clock: Callable[[], float]) -> None:
        records = list(_records(self.directory / JOURNAL))
        self._begun = bool(records)
        start = records[0] if records else _start(head, options, clock())
        _check(self.directory, start, head, options)
        self.id, self.began_at = str(start["run"]), float(start["began_at"])
        for record in records[1:]:
            self._replay(record)
        if not records:
            self._journal.append(write_record(start))
            self._journal.flush()  # so that others see who runs it

    async def back_up(self, messages: Iterable[Message]) -> None:
        """Return when the messages are on disk, complete."""
        for message in messages:
            self._backup.append(write_record(message_to_fields(message)))
        if not self._begun:
            await self._journal.commit()
            self._begun = True
        await self._backup.commit()

    def record_done(self, entries: Iterable[JournalEntry]) -> None:
        """Record what the targets have safely. The record survives a kill of this process."""
        rows = []
        for entry in entries:
            self._add(entry)
            identity = (entry.identity.events_hash, entry.identity.body_hash)
            rows.append([entry.message_id, *identity, entry.seen_at, entry.hops, entry.reference])
        if rows:
            self._journal.append(write_record({"done": rows}))
            self._journal.flush()

    async def commit(self) -> None:
        """Return when everything recorded is on disk, so that what is done may be deleted.

        Raises:
            OSError: the disk refuses.
        """
        await self._journal.commit()

    def record_deleted(self, message_ids: Iterable[str]) -> None:
        """Record confirmed deletions. They need no sync: deleting twice does no harm."""
        rows = list(message_ids)
        self.deleted.update(rows)
        if rows:
            self._journal.append(write_record({"deleted": rows}))

    def record(self, **fields: Any) -> None:
        """Record something for people."""
        self._journal.append(write_record(fields))

    def flush(self) -> None:
        """Pass what was recorded to the operating system: it survives a kill of this process."""
        self._journal.flush()

    def close(self) -> None:
        """Sync and close both files."""
        try:
            self._journal.close()
        finally:
            self._backup.close()

    def _replay(self, record: Mapping[str, Any]) -> None:
        for message_id, events_hash, body_hash, *rest in record.get("done", ()):
            self._add(JournalEntry(message_id, Identity(events_hash, body_hash), *rest))
        self.deleted.update(record.get("deleted", ()))

    def _add(self, entry: JournalEntry) -> None:
        self.done.add(entry.message_id)
        redriven = Redriven(entry.identity.body_hash, entry.seen_at, entry.hops)
        self.redriven.setdefault(entry.identity.events_hash, redriven)


def new_directory(command: str, queue: str, parent: Path = Path()) -> Path:
    """A path for a new journal that does not exist yet."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    stem = f"relay-dlq-{command}-{queue}"
    names = itertools.chain([stamp], (f"{stamp}-{number}" for number in itertools.count(2)))
    return next(path for name in names if not (path := parent / f"{stem}-{name}").exists())


def _locked(path: Path) -> DurableLines:
    try:
        return DurableLines(path)
    except BlockingIOError as error:
        raise JournalConflict(f"another process is using the journal {path}") from error


def _records(path: Path) -> Iterable[dict[str, Any]]:
    """The complete lines. A last line that a kill cut off was never relied on."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                yield read_record(line.rstrip(b"\n"))
            except Damaged as error:
                if line.endswith(b"\n"):
                    raise JournalConflict(f"{path} is damaged: {error}") from error


def _start(head: Head, options: Mapping[str, Any], now: float) -> dict[str, Any]:
    return {
        "journal": FORMAT,
        "run": secrets.token_hex(8),
        "queue": head.arn,
        "options": dict(options),
        "began_at": now,
        "by": who(),
    }


def _check(
    directory: Path, start: Mapping[str, Any], head: Head, options: Mapping[str, Any]
) -> None:
    if start.get("journal") != FORMAT:
        raise JournalConflict(f"{directory} has no journal in a format that this version reads")
    if start["queue"] != head.arn:
        raise JournalConflict(f"{directory} is the journal of a run on {start['queue']}")
    before, now = dict(start["options"]), dict(options)
    differing = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if differing:
        raise JournalConflict(
            f"{directory} is the journal of a run with other options ({', '.join(differing)}): use"
            " the same ones to finish it, or name another directory"
        )


def who() -> str:
    """The user who runs the command and the host, as far as the machine knows them."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # no such user in this container
        name = "unknown"
    return f"{name}@{socket.gethostname()}"
