"""A report: what one flush tells a sink, and the sink's side of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from relay.telemetry.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a relay is doing at this moment.

    `concurrency` is how many requests there may be at once. `circuit` is one of
    `table.CIRCUIT_STATES`, `intake` is a poller's way in from the queue: `open`, `backing-off`,
    `halted` or `stopping`. `problem` is a sentence while a misconfiguration other than the
    circuit's keeps it from working, `setting` what to look at.
    """

    in_hand: int = 0
    concurrency: int = 0
    circuit: str = "closed"
    intake: str = "open"
    problem: str | None = None
    setting: str | None = None

    @property
    def halted(self) -> bool:
        """Whether a person has to mend something before events flow again."""
        return "halted" in (self.circuit, self.intake) or self.problem is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One flush. `at` is seconds since the epoch, `dimensions` the values of `table.DIMENSIONS`.

    `window` is what was counted since the last report that was taken, `gauges` the values now.
    """

    at: float
    dimensions: Mapping[str, str]
    window: Window
    gauges: Mapping[str, float]


class NotTaken(Exception):
    """A sink did not take a report. The text is a sentence for a person, free of secrets."""


class Sink(Protocol):
    """Where metrics go. One method, called for one report at a time."""

    async def put(self, report: Report) -> None:
        """Deliver the report, in one attempt. What is not taken comes again, within the next one.

        Raises:
            NotTaken: it was not delivered, as far as is known.
        """
        ...
