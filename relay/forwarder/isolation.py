"""Isolation: how a failed request is taken apart until the one event at fault stands alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct

from relay.message import Event, Outcome

ALL = sys.maxsize
"""The company of an event that nobody suspects."""


class Parcel(Struct, frozen=True):
    """An event on its way, its bytes on the wire, and how many may travel with it, itself included.

    `named` is True for one that the destination's last answer pointed at.
    """

    event: Event
    size: int
    company: int = ALL
    named: bool = False


class Again(Struct, frozen=True):
    """Not settled: send it once more, in this company."""

    company: int = ALL
    named: bool = False


class Alone(Struct, frozen=True):
    """Not settled: it failed alone at `at` on the clock, and whose fault that is remains open."""

    reason: str
    at: float
    after: float | None = None


Step: TypeAlias = Outcome | Again | Alone
"""What comes next for an event after an attempt."""


class Hints:
    """Whether to believe a destination that names the event at fault.

    It is believed until an event that it named passes alone, and again after one did not.
    """

    def __init__(self) -> None:
        self._believed = True

    def learn(self, *, passed: bool) -> None:
        """An event that was named has been tried alone."""
        self._believed = not passed

    def split(self, parcels: Sequence[Parcel], suspect: int | None) -> list[Again]:
        """After a refusal: the suspect alone and the others together, or everybody in halves.

        Each refusal makes the groups smaller, so even a destination that always lies ends with
        every event alone.
        """
        if suspect is None or not self._believed or not 0 <= suspect < len(parcels):
            return [Again(max(1, len(parcels) // 2))] * len(parcels)
        others = [Again(parcel.company) for parcel in parcels]
        others[suspect] = Again(1, named=True)
        return others
