"""Roads: the ways a letter can be brought back, behind two methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from relay.dlq.letter import Letter
from relay.dlq.stays import Stays


@dataclass(frozen=True, slots=True)
class Carried:
    """It is safely there, so the dead letter may be deleted. `reference` is its name there.

    `rest` says why some of its events are not: they are a new dead letter in its place.
    """

    reference: str | None = None
    rest: Stays | None = None


Result: TypeAlias = Carried | Stays
L = TypeVar("L")


class Road(Protocol[L]):
    """The seam between a run and where letters go."""

    async def ready(self, letter: Letter) -> L | Stays:
        """The letter as it would go, or why it cannot. Nothing is sent.

        Raises:
            QueueError: that cannot be told now.
        """
        ...

    async def carry(self, loads: Sequence[L]) -> Sequence[Result]:
        """Bring all there; one result for each, in order.

        Raises:
            QueueError: no more can be brought there at all.
        """
        ...


class Nowhere:
    """The road of letters that are dropped: they go nowhere, and their backup is what remains."""

    async def ready(self, letter: Letter) -> Letter | Stays:
        """Anything can go nowhere."""
        return letter

    async def carry(self, loads: Sequence[Letter]) -> Sequence[Result]:
        """Nothing is sent."""
        return [Carried()] * len(loads)
