"""What a plan or a run reports while it is made: its phases and its warnings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from relay.dlq.watch import Watch


@dataclass(slots=True)
class Phase:
    """A part of a run: how many of about how many are done, and more counts by name."""

    what: str
    total: int | None
    done: int = 0
    more: dict[str, Any] = field(default_factory=dict)

    def at(self, done: int, **more: Any) -> None:
        """So many are done."""
        self.done, self.more = done, more


@dataclass(slots=True)
class Observed:
    """What an operation reports. `stop` ends it after the batch in flight."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    phases: list[Phase] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def watch(self) -> Watch:
        """To hand to the operation."""
        return Watch(self.stop, self._begin, self._warn)

    @contextmanager
    def _begin(self, what: str, *, total: int | None) -> Iterator[Phase]:
        phase = Phase(what, total)
        self.phases.append(phase)
        yield phase

    def _warn(self, sentence: str) -> None:
        self.warnings.append(sentence)
