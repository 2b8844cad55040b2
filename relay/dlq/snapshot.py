"""Snapshots: the messages of a dead-letter queue in a file with checksums."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from relay.dlq.records import (
    Damaged,
    message_from_fields,
    message_to_fields,
    read_record,
    sync_directory,
    write_record,
)
from relay.model.message import Message
from relay.output.private_files import create_private

FORMAT = 1


class Unreadable(Exception):
    """The file is no snapshot, or it is damaged. The text is a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where and when a snapshot was taken. Times are epoch seconds, durations seconds."""

    queue: str
    arn: str
    taken_at: float
    retention: float
    fifo: bool
    main: str | None = None


@dataclass(frozen=True, slots=True)
class End:
    """How a snapshot ended: `left` counts the messages in the queue that were not received."""

    count: int
    complete: bool
    left: int = 0


class Snapshot:
    """A snapshot or a backup on disk. `head` is set at once, `end` once all messages were read.

    A backup that a crash cut off has no end, and an incomplete last line is left out.

    Raises:
        Unreadable: it cannot be opened, or it does not begin like a snapshot.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.end: End | None = None
        with self._open() as file:
            self.head = _read_head(path, self._next(file))

    def __iter__(self) -> Iterator[Message]:
        """Every message, checked against its checksum.

        Raises:
            Unreadable: a line is damaged.
        """
        total = hashlib.sha256()
        self.end = None
        with self._open() as file:
            total.update(self._next(file))
            number = 1
            while line := self._next(file):
                number += 1
                fields = self._fields(line, number, file)
                if fields is None:
                    return
                if "end" in fields:
                    self._check(fields, total.hexdigest(), number - 2)
                    return
                total.update(line)
                yield self._message(fields, number)

    def _open(self) -> IO[bytes]:
        try:
            if self.path.name.endswith(".gz"):
                return cast("IO[bytes]", gzip.open(self.path, "rb"))
            return self.path.open("rb")
        except OSError as error:
            raise Unreadable(f"{self.path} cannot be read: {error.strerror}") from error

    def _next(self, file: IO[bytes]) -> bytes:
        try:
            return file.readline().rstrip(b"\n")
        except (OSError, EOFError, zlib.error) as error:
            raise Unreadable(f"{self.path} cannot be read to its end: {error}") from error

    def _fields(self, line: bytes, number: int, file: IO[bytes]) -> dict[str, Any] | None:
        try:
            return read_record(line)
        except Damaged as error:
            if not self._next(file):
                return None
            raise Unreadable(f"{self.path}, line {number}: {error}") from error

    def _message(self, fields: dict[str, Any], number: int) -> Message:
        try:
            return message_from_fields(fields)
        except Damaged as error:
            raise Unreadable(f"{self.path}, line {number}: {error}") from error

    def _check(self, fields: dict[str, Any], total: str, count: int) -> None:
        if fields.get("lines") != total or fields["end"] != count:
            raise Unreadable(
                f"{self.path} is not complete: its last line does not match the others"
            )
        self.end = End(count, bool(fields.get("complete")), int(fields.get("left", 0)))


def head_fields(head: Head) -> dict[str, Any]:
    """The first line of a snapshot."""
    values = {name: getattr(head, name) for name in Head.__slots__}
    return {"snapshot": FORMAT, **{n: v for n, v in values.items() if v is not None}}


def _read_head(path: Path, line: bytes) -> Head:
    try:
        fields = read_record(line)
        if fields.pop("snapshot") != FORMAT:
            raise Unreadable(f"{path} has a format that this version does not read")
        return Head(**fields)
    except (Damaged, KeyError, TypeError) as error:
        raise Unreadable(f"{path} is not a snapshot of `relay dlq pull`") from error


class SnapshotWriter:
    """Writes a temporary file beside the path and renames it when closed; compressed for `.gz`.

    Raises:
        FileExistsError: the path exists; nothing is ever overwritten.
    """

    def __init__(self, path: Path, head: Head) -> None:
        if path.exists():
            raise FileExistsError(path)
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._sum = hashlib.sha256()
        self._count = 0
        self._raw = create_private(self._part)
        packed = path.name.endswith(".gz")
        self._file = (
            gzip.GzipFile(fileobj=self._raw, mode="wb", compresslevel=6, mtime=0, filename="")
            if packed
            else self._raw
        )
        self._line(write_record(head_fields(head)))

    def __enter__(self) -> Self:
        """Write within the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the temporary file unless it was closed."""
        if not self._raw.closed:
            # On a full disk closing fails as well, and the space is needed back even so.
            for step in (self._file.close, self._raw.close, self._part.unlink):
                with suppress(OSError):
                    step()

    def add(self, message: Message) -> None:
        """Append a message."""
        self._line(write_record(message_to_fields(message)))
        self._count += 1

    def close(self, *, complete: bool, left: int = 0) -> End:
        """Write the end, sync the file and rename it."""
        end = {"end": self._count, "complete": complete, "left": left}
        self._line(write_record({**end, "lines": self._sum.hexdigest()}))
        if self._file is not self._raw:
            self._file.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()
        self._part.rename(self._path)
        sync_directory(self._path.parent)
        return End(self._count, complete, left)

    def _line(self, line: bytes) -> None:
        self._sum.update(line)
        self._file.write(line + b"\n")
