"""Passes facts on to the observers (recorder, log), in rounds; their errors affect nobody else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol, TypeAlias

from relay.model.facts import Fact

_log = logging.getLogger(__name__)

FactHandler: TypeAlias = Callable[[Iterator[Any]], None]
"""Takes consecutive facts of one type. May raise; it is then called again with the facts that
follow the one at which it failed."""

FactHandlers: TypeAlias = Mapping[type, FactHandler]
"""The handler for each type of fact. Facts of other types are ignored."""


class Observer(Protocol):
    """Receives facts."""

    handlers: FactHandlers

    def end_round(self) -> None:
        """Called after the last fact of a round."""
        ...


def one_by_one(handle: Callable[[Any], None]) -> FactHandler:
    """A handler that calls `handle` with each fact."""

    def handler(facts: Iterator[Any]) -> None:
        for fact in facts:
            handle(fact)

    return handler


class Observers:
    """Collects facts and passes them on to all observers shortly after, many at a time.

    `observe` is called in the middle of a delivery, so it costs almost nothing. Handling many facts
    in a row takes half the time of handling each where it happens. Waiting for more than one turn
    of the loop would make it slower again: by then the messages have left the CPU's caches.

    An error in an observer calls `on_error`, is logged once for each type, and loses no other fact.

    Args:
        call_soon: calls a function in the next turn of the loop, as `loop.call_soon` does.
        on_error: called for each error.
    """

    def __init__(
        self,
        *observers: Observer,
        call_soon: Callable[[Callable[[], None]], object],
        on_error: Callable[[], None],
    ) -> None:
        self._observers = observers
        self._call_soon = call_soon
        self._on_error = on_error
        self._logged: set[type[Exception]] = set()
        self._facts: list[Fact] = []

    def observe(self, fact: Fact) -> None:
        """Take a fact. Call it in the loop's thread only."""
        facts = self._facts
        if not facts:
            self._call_soon(self.flush)
        facts.append(fact)

    def flush(self) -> None:
        """Pass on the facts since the last call."""
        facts, self._facts = self._facts, []
        for kind, consecutive in groupby(facts, type):
            row = list(consecutive)
            for observer in self._observers:
                handler = observer.handlers.get(kind)
                if handler is not None:
                    self._handle(row, handler)
        for observer in self._observers:
            try:
                observer.end_round()
            except Exception as error:  # noqa: BLE001 - see the class
                self._failed(error)

    def _handle(self, row: Sequence[Fact], handler: FactHandler) -> None:
        rest = iter(row)
        for _attempt in range(len(row) + 1):
            try:
                handler(rest)
            except Exception as error:  # noqa: BLE001 - see the class
                self._failed(error)
            else:
                return

    def _failed(self, error: Exception) -> None:
        self._on_error()
        if type(error) not in self._logged:
            self._logged.add(type(error))
            _log.error("metrics or log lines may be incomplete: an observer failed", exc_info=error)
