"""Observers: several as one that never raises."""

from __future__ import annotations

import logging
from collections.abc import Callable

from relay.facts import Fact, Observe

_log = logging.getLogger(__name__)


def all_of(*observers: Observe, failed: Callable[[], None]) -> Observe:
    """An observer that tells each of these.

    Whoever states a fact is in the middle of delivering: a mistake in telling is counted by
    `failed`, told once for each kind, and goes no further.
    """
    known: set[type[Exception]] = set()

    def observe(fact: Fact) -> None:
        for observer in observers:
            try:
                observer(fact)
            except Exception as error:  # noqa: BLE001 - said above
                failed()
                if type(error) not in known:
                    known.add(type(error))
                    _log.exception("a fact was not told: %s", type(fact).__name__)

    return observe
