"""Writing a snapshot: it has its name only when it is whole."""

from __future__ import annotations

import gzip
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from relay.dlq.durable import private_file, sync_directory
from relay.dlq.record import of_message, write_record
from relay.dlq.snapshot import End, Head, head_fields
from relay.message import Message


class SnapshotWriter:
    """Writes beside the path and takes its name when closed well; compressed where named `.gz`.

    Raises:
        FileExistsError: something has the name already; nothing is ever overwritten.
    """

    def __init__(self, path: Path, head: Head) -> None:
        if path.exists():
            raise FileExistsError(path)
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._sum = hashlib.sha256()
        self._count = 0
        self._raw = private_file(self._part)
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
        """Remove what was not closed well."""
        if not self._raw.closed:
            # On a full disk closing fails as well, and the space is wanted back all the more.
            for last in (self._file.close, self._raw.close, self._part.unlink):
                with suppress(OSError):
                    last()

    def add(self, message: Message) -> None:
        """Append a message."""
        self._line(write_record(of_message(message)))
        self._count += 1

    def close(self, *, complete: bool, left: int = 0) -> End:
        """End the file and give it its name."""
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
