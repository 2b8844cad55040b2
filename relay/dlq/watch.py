"""What the caller of an operation sees of it while it goes on, and how the caller stops it."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol


class Progress(Protocol):
    """Takes reports of how far a phase is."""

    def at(self, done: int, **more: Any) -> None:
        """So many are done."""
        ...


class OpenProgress(Protocol):
    """Begins a phase."""

    def __call__(self, what: str, *, total: int | None) -> AbstractContextManager[Progress]:
        """A phase that does `what`; `total` is about how many there will be, None if unknown."""
        ...


class Warn(Protocol):
    """Tells a person something."""

    def __call__(self, sentence: str) -> None:
        """Tell it."""
        ...


@dataclass(frozen=True, slots=True)
class Watch:
    """What an operation reports to.

    Attributes:
        stop: set from outside: the batch in flight is finished, and the rest released.
        progress: begins a phase that reports its progress.
        warn: called with each sentence that a person should know.
    """

    stop: asyncio.Event
    progress: OpenProgress
    warn: Warn
