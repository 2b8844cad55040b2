"""Records: messages as lines with a checksum, in files that survive a kill and a power cut."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from relay.model.message import Attribute, Message
from relay.output.private_files import create_private, update_private

_MARK = b',"sha256":"'
_TAIL = len(_MARK) + 64 + len('"}')
_PLAIN = (
    ("message_id", str),
    ("queue", str),
    ("receive_count", int),
    ("sent_at", float),
    ("first_received_at", float),
    ("group_id", str),
    ("dedup_id", str),
    ("sequence_number", str),
    ("trace_header", str),
    ("dead_letter_source", str),
)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class Damaged(ValueError):
    """A line is not what was written. The text is a sentence without the line's number."""


def write_record(fields: Mapping[str, Any]) -> bytes:
    """The fields as one line without a line break; its checksum is the last field."""
    text = _encode(fields)[:-1]
    return text + _MARK + hashlib.sha256(text).hexdigest().encode() + b'"}'


def read_record(line: bytes) -> dict[str, Any]:
    """The fields of a line, without the checksum.

    Raises:
        Damaged: it is cut off or altered, or no record.
    """
    text, tail = line[:-_TAIL], line[-_TAIL:]
    if not tail.startswith(_MARK) or not tail.endswith(b'"}'):
        raise Damaged("it has no checksum")
    if hashlib.sha256(text).hexdigest().encode() != tail[len(_MARK) : -2]:
        raise Damaged("it does not match its checksum")
    fields: dict[str, Any] = _decode(text + b"}")
    return fields


def message_to_fields(message: Message) -> dict[str, Any]:
    """The message as JSON values; unknown fields are left out."""
    values = {name: getattr(message, name) for name, _ in _PLAIN}
    fields = {name: value for name, value in values.items() if value is not None}
    try:
        fields["body"] = message.body.decode()
    except UnicodeDecodeError:
        fields["body_base64"] = base64.b64encode(message.body).decode()
    if message.attributes:
        fields["attributes"] = {n: _of_attribute(a) for n, a in message.attributes.items()}
    return fields


def message_from_fields(fields: Mapping[str, Any]) -> Message:
    """The message that `message_to_fields` wrote.

    Raises:
        Damaged: a field is missing or of another type.
    """
    try:
        plain: dict[str, Any] = {
            name: kind(fields[name]) for name, kind in _PLAIN if name in fields
        }
        return Message(body=_body(fields), attributes=_attributes(fields), **plain)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Damaged(f"it has no message: {error}") from error


def _of_attribute(attribute: Attribute) -> dict[str, str]:
    if isinstance(attribute.value, bytes):
        return {"type": attribute.data_type, "binary": base64.b64encode(attribute.value).decode()}
    return {"type": attribute.data_type, "text": attribute.value}


def _attributes(fields: Mapping[str, Any]) -> dict[str, Attribute]:
    return {
        name: Attribute(
            raw["type"],
            raw["text"] if "text" in raw else base64.b64decode(raw["binary"], validate=True),
        )
        for name, raw in fields.get("attributes", {}).items()
    }


def _body(fields: Mapping[str, Any]) -> bytes:
    if "body" in fields:
        return str(fields["body"]).encode()
    return base64.b64decode(fields["body_base64"], validate=True)


def sync_directory(directory: Path) -> None:
    """Sync the directory, so that a file's new name survives a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DurableLines:
    """Lines appended to one file. A line that a kill cut off is removed when the file is opened.

    After one failure every call fails: an operating system that lost a write reports it once, and
    reports success from then on.

    Args:
        path: the file.
        sync: writes a descriptor's data to the disk.

    Raises:
        BlockingIOError: another process has the file open as `DurableLines`.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, *, sync: Callable[[int], None] = _sync_data) -> None:
        try:
            self._file = create_private(path)
        except FileExistsError:
            self._file = update_private(path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file.truncate(_end_of_lines(self._file))
            self._file.seek(0, os.SEEK_END)
            sync_directory(path.parent)
        except BaseException:
            self._file.close()
            raise
        self._sync_file = sync
        self._failed: OSError | None = None
        self._appended = 0
        self._durable = 0
        self._syncing: asyncio.Task[None] | None = None

    def append(self, line: bytes) -> None:
        """Append a line; it is durable once `commit` has returned."""
        with self._failing_for_good():
            self._file.write(line + b"\n")
        self._appended += 1

    def flush(self) -> None:
        """Pass appended lines to the operating system: they survive a kill of this process."""
        with self._failing_for_good():
            self._file.flush()

    async def commit(self) -> None:
        """Return when all lines appended so far are on disk; concurrent callers share one sync.

        Raises:
            OSError: the disk refuses, and nothing may rely on the lines.
        """
        mine = self._appended
        while self._durable < mine:
            if self._syncing is None or self._syncing.done():
                self._syncing = asyncio.create_task(self._sync())
            await asyncio.shield(self._syncing)

    def close(self) -> None:
        """Sync and close the file."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    async def _sync(self) -> None:
        mark = self._appended
        with self._failing_for_good():
            self._file.flush()
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, self._sync_file, self._file.fileno())
        self._durable = mark

    @contextlib.contextmanager
    def _failing_for_good(self) -> Iterator[None]:
        """Raise an earlier failure again, and store a new one."""
        if self._failed is not None:
            raise self._failed
        try:
            yield
        except OSError as error:
            self._failed = error
            raise


def _end_of_lines(file: BinaryIO) -> int:
    """Where the last complete line ends."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65_536)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
