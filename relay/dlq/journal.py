"""The journal of a run: what was decided once, and how far each letter got."""

from __future__ import annotations

import getpass
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay.dlq.duplicates import Identity, Redriven
from relay.dlq.records import Damaged, DurableLines, of_message, read_record, write_record
from relay.dlq.snapshot import Head, head_fields
from relay.model.message import Message

FORMAT = 1
JOURNAL, BACKUP = "journal.jsonl", "backup.jsonl"


class JournalConflict(Exception):
    """The directory holds the journal of another run. The text is a sentence."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A letter that is safely where it was to go, and may be deleted from the queue."""

    message_id: str
    identity: Identity
    seen_at: float | None
    hops: int
    reference: str | None


class Journal:
    """One run's directory: its journal and the backup of every letter that it touches.

    Raises:
        OtherRun: the directory is another run's, or one is at work in it now.
        OSError: it cannot be written.

    Attributes:
        id: of the run, the same when it is taken up again.
        began_at: when it began first, epoch seconds.
        brought: MessageIds of letters that are where they were to go.
        deleted: those of them that SQS agreed to delete.
        twins: what was brought back, by what it is about.
        resumed: whether an earlier process began it.
    """

    def __init__(
        self,
        directory: Path,
        head: Head,
        options: Mapping[str, Any],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self.brought: set[str] = set()
        self.deleted: set[str] = set()
        self.twins: dict[str, Redriven] = {}
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
        self.resumed = self._begun = bool(records)
        start = records[0] if records else _start(head, options, clock())
        _check(self.directory, start, head, options)
        self.id, self.began_at = str(start["run"]), float(start["began_at"])
        for record in records[1:]:
            self._learn(record)
        if not records:
            self._journal.append(write_record(start))

    async def back_up(self, messages: Iterable[Message]) -> None:
        """Return when the messages are on the disk, whole."""
        for message in messages:
            self._backup.append(write_record(of_message(message)))
        if not self._begun:
            await self._journal.commit()
            self._begun = True
        await self._backup.commit()

    def note_brought(self, letters: Iterable[JournalEntry]) -> None:
        """Note that these are where they were to go; a kill does not undo it."""
        rows = []
        for letter in letters:
            self._bring(letter)
            about, text = letter.identity.about, letter.identity.text
            told = (letter.seen_at, letter.hops, letter.reference)
            rows.append([letter.message_id, about, text, *told])
        if rows:
            self._journal.append(write_record({"brought": rows}))
            self._journal.hand_over()

    async def commit(self) -> None:
        """Return when all that was noted is on the disk, so that what was brought may be deleted.

        Raises:
            OSError: the disk refuses.
        """
        await self._journal.commit()

    def note_deleted(self, message_ids: Iterable[str]) -> None:
        """Note what SQS agreed to delete. It need not be synced: deleting twice does no harm."""
        rows = list(message_ids)
        self.deleted.update(rows)
        if rows:
            self._journal.append(write_record({"deleted": rows}))

    def note(self, **fields: Any) -> None:
        """Note something for people."""
        self._journal.append(write_record(fields))

    def close(self) -> None:
        """Sync and close both files."""
        try:
            self._journal.close()
        finally:
            self._backup.close()

    def _learn(self, record: Mapping[str, Any]) -> None:
        for message_id, about, text, *told in record.get("brought", ()):
            self._bring(JournalEntry(message_id, Identity(about, text), *told))
        self.deleted.update(record.get("deleted", ()))

    def _bring(self, letter: JournalEntry) -> None:
        self.brought.add(letter.message_id)
        twin = Redriven(letter.identity.text, letter.seen_at, letter.hops)
        self.twins.setdefault(letter.identity.about, twin)


def _locked(path: Path) -> DurableLines:
    try:
        return DurableLines(path)
    except BlockingIOError as error:
        raise JournalConflict(f"another process is at work with the journal {path}") from error


def _records(path: Path) -> Iterable[dict[str, Any]]:
    """The whole lines; what a kill tore off was never relied on."""
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
        raise JournalConflict(f"{directory} holds no journal that this version knows")
    if start["queue"] != head.arn:
        raise JournalConflict(f"{directory} is the journal of a run on {start['queue']}")
    before, now = dict(start["options"]), dict(options)
    other = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if other:
        raise JournalConflict(
            f"{directory} is the journal of a run with other options ({', '.join(other)}): repeat"
            " them to finish it, or name another directory"
        )


def who() -> str:
    """The person at the keyboard, as far as the machine knows."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # no such user in this container
        name = "unknown"
    return f"{name}@{socket.gethostname()}"
