"""Logs as sources: files, standard input, and CloudWatch's."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import tempfile
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TextIO

from relay.aws.errors import QueueError
from relay.story.known import Found, Known, Unreached
from relay.story.log_lines import Reading

Search = Callable[[str], Awaitable[tuple[Sequence[str], bool]]]
"""The lines that hold a word, and whether all were looked at. Raises `QueueError`."""


class LogFiles:
    """Files of log lines, `.gz` ones among them."""

    name = "log files"

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    async def find(self, known: Known) -> Found:
        """Read every file once more: what is known now may be on lines passed over before."""
        return await asyncio.to_thread(self._read, known)

    def _read(self, known: Known) -> Found:
        reading, gaps = Reading(known), list[str]()
        for path in self._paths:
            try:
                with _opened(path) as lines:
                    reading.read(lines)
            except (OSError, EOFError, zlib.error) as error:
                reason = getattr(error, "strerror", None) or error
                gaps.append(f"{path} cannot be read: {reason}")
        if reading.unread and not reading.moments:
            gaps.append(f"{reading.unread} lines that speak of it are not the relay's JSON")
        return Found(tuple(reading.moments), "; ".join(gaps) or None)


class LogGroup:
    """A log group of CloudWatch, searched for each name by itself."""

    name = "log group"

    def __init__(self, search: Search) -> None:
        self._search = search
        self._lines: dict[str, Sequence[str]] = {}
        self._whole = True

    async def find(self, known: Known) -> Found:
        """Search for the names that were not searched for yet.

        Raises:
            Unreached: CloudWatch did not answer.
        """
        try:
            for word in sorted(known.words() - self._lines.keys()):
                self._lines[word], whole = await self._search(word)
                self._whole = self._whole and whole
        except QueueError as error:
            raise Unreached(error.sentence) from error
        reading = Reading(known)
        reading.read(dict.fromkeys(line for lines in self._lines.values() for line in lines))
        gap = None if self._whole else "there was more than could be searched: narrow it by --since"
        return Found(tuple(reading.moments), gap)


@contextmanager
def kept(stream: TextIO) -> Iterator[Path]:
    """What the stream holds, as a file that can be read more than once."""
    with tempfile.NamedTemporaryFile("w", suffix=".log", encoding="utf-8") as file:
        shutil.copyfileobj(stream, file)
        file.flush()
        yield Path(file.name)


def _opened(path: Path) -> IO[str]:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8", errors="replace")
    return path.open(encoding="utf-8", errors="replace")
