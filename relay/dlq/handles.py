"""Receipt handles of a pull: of a large queue they would take more memory than all else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO

_IN_MEMORY = 1_000


class Handles:
    """Handles to be released at the end, in an unbuffered file.

    What a full disk does not take stays in memory.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._recent: list[str] = []

    def add(self, handles: Iterable[str]) -> None:
        """Add some.

        Raises:
            OSError: the disk takes no more; they are among all that are kept even so.
        """
        self._recent += handles
        if len(self._recent) >= _IN_MEMORY:
            self._spill()

    def __iter__(self) -> Iterator[str]:
        """All of them; one that a full disk tore may be among them too."""
        self._file.seek(0)
        with open(self._file.fileno(), "rb", closefd=False) as lines:
            for line in lines:
                yield line.rstrip(b"\n").decode()
        yield from self._recent

    def _spill(self) -> None:
        left = "".join(f"{handle}\n" for handle in self._recent).encode()
        while left:
            left = left[self._file.write(left) :]
        self._recent.clear()
