"""Observers: they hear what was stated, in rounds, and whatever happens to them harms nobody."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeAlias

from relay.facts import Fact

_log = logging.getLogger(__name__)


Ways: TypeAlias = Mapping[type, Callable[[Any], None]]
"""What takes the facts of each kind. Those of no kind in it are passed over."""


def spread(facts: Iterable[Fact], ways: Ways) -> None:
    """Give each fact to what takes its kind."""
    for fact in facts:
        way = ways.get(type(fact))
        if way is not None:
            way(fact)


class Observer(Protocol):
    """Hears facts."""

    def hear(self, facts: Iterator[Fact]) -> None:
        """Take facts in their order until there are no more.

        May raise: it is called again for those behind the one that it failed at.
        """
        ...


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
        for observer in self._observers:
            rest = iter(facts)
            for _mistakes in range(len(facts) + 1):
                if self._heard(observer, rest):
                    break

    def _heard(self, observer: Observer, facts: Iterator[Fact]) -> bool:
        """Whether it heard them to the end; if not, those behind its mistake are left."""
        try:
            observer.hear(facts)
        except Exception as error:  # noqa: BLE001 - said above
            self._failed()
            if type(error) not in self._known:
                self._known.add(type(error))
                _log.exception("a fact was not told")
            return False
        return True
