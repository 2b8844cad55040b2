"""Observers: they hear what was stated, in rounds, and whatever happens to them harms nobody."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol, TypeAlias

from relay.model.facts import Fact

_log = logging.getLogger(__name__)

Way: TypeAlias = Callable[[Iterator[Any]], None]
"""Takes facts of one kind that came in a row. May raise: it is given those behind its mistake."""

Ways: TypeAlias = Mapping[type, Way]
"""What takes the facts of each kind. Those of no kind in it are passed over."""


class Observer(Protocol):
    """Hears facts."""

    ways: Ways

    def end_round(self) -> None:
        """Nothing more is told now."""
        ...


def each(take: Callable[[Any], None]) -> Way:
    """Takes facts in a row, one after the other."""

    def way(facts: Iterator[Any]) -> None:
        for fact in facts:
            take(fact)

    return way


class Observers:
    """Takes facts and tells them to all observers a little later, many at a time.

    Whoever states a fact is in the middle of delivering. Taking it costs as good as nothing, and
    telling many in a row costs half of telling each where it happens. Waiting for more than one
    turn of the loop brings costs more again: by then the messages have left the CPU's caches.

    A mistake in telling is counted by `failed`, told once for each kind, and costs no other fact.

    Args:
        soon: calls a function as soon as the others had their turn, as `loop.call_soon` does.
        failed: is called for each mistake.
    """

    def __init__(
        self,
        *observers: Observer,
        soon: Callable[[Callable[[], None]], object],
        failed: Callable[[], None],
    ) -> None:
        self._observers = observers
        self._soon = soon
        self._failed = failed
        self._known: set[type[Exception]] = set()
        self._facts: list[Fact] = []

    def observe(self, fact: Fact) -> None:
        """Take a fact. From the thread of the loop only."""
        facts = self._facts
        if not facts:
            self._soon(self.tell)
        facts.append(fact)

    def tell(self) -> None:
        """Tell what was taken since the last time."""
        facts, self._facts = self._facts, []
        for kind, alike in groupby(facts, type):
            row = list(alike)
            for observer in self._observers:
                way = observer.ways.get(kind)
                if way is not None:
                    self._give(row, way)
        for observer in self._observers:
            try:
                observer.end_round()
            except Exception as error:  # noqa: BLE001 - said above
                self._mistaken(error)

    def _give(self, row: Sequence[Fact], way: Way) -> None:
        rest = iter(row)
        for _mistakes in range(len(row) + 1):
            try:
                way(rest)
            except Exception as error:  # noqa: BLE001 - said above
                self._mistaken(error)
            else:
                return

    def _mistaken(self, error: Exception) -> None:
        self._failed()
        if type(error) not in self._known:
            self._known.add(type(error))
            _log.error("a fact was not told", exc_info=error)
