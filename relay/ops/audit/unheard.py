"""Finds, in a running relay, delivered events that no function listens to: a sample at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relay.model.facts import Fact, Handled
from relay.model.outcome import Delivered
from relay.ops.audit.functions import Listeners, read_listeners
from relay.ops.audit.requests import BoundedRequests
from relay.ops.inngest_api import SETTLE, InngestApi, is_ulid

MAX_NAMES = 200
"""Names in a sample. One event of each is enough: functions listen to names."""

MAX_LOOKED_UP = 20
"""Events of a sample whose runs are read where the server does not tell which functions exist."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """The first delivered event of a name since the last sweep: the server's id of it, and when."""

    reference: str
    at: float


class UnheardSweep:
    """Observes deliveries, and now and then asks the server who listens to their names.

    Args:
        requests: sends the requests.
        signals: patterns for the names of events that steps wait for.
        clock: the time of day.

    `unheard` has the names that no function listened to at the last sweep, each with the most
    similar name that one does; a name stays there until one does. `pending` is the next sample.
    """

    def __init__(
        self,
        requests: BoundedRequests,
        signals: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._requests = requests
        self._api = InngestApi(requests, clock)
        self._signals = signals
        self._clock = clock
        self.unheard: dict[str, str | None] = {}
        self.pending: dict[str, Sampled] = {}

    def observe(self, fact: Fact) -> None:
        """Add the names of delivered events to the sample. Called for every fact of the relay."""
        if not isinstance(fact, Handled):
            return
        for event, outcome in fact.results:
            if event.name in self.pending or len(self.pending) >= MAX_NAMES:
                continue
            if isinstance(outcome, Delivered) and is_ulid(outcome.reference):
                self.pending[event.name] = Sampled(str(outcome.reference), fact.at)

    async def sweep(self) -> None:
        """Look the sample up. Names whose runs may still begin are kept for the next sweep.

        Raises:
            Unavailable: the server does not answer; the sample is kept.
            UnusableAnswer: it refuses the key; the sample is kept.
        """
        if not (self.pending or self.unheard):
            return
        listeners = await read_listeners(self._api, self._requests.api_v2, self._signals)
        if listeners is None:
            await self._sweep_runs()
        else:
            self._sweep_names(listeners)

    def _sweep_names(self, listeners: Listeners) -> None:
        names = [*self.unheard, *(name for name in self.pending if name not in self.unheard)]
        self.pending = {}
        self.unheard = {
            name: listeners.nearest(name)
            for name in names[:MAX_NAMES]
            if not (listeners.of(name) or listeners.is_signal(name))
        }

    async def _sweep_runs(self) -> None:
        now = self._clock()
        old = [name for name, one in self.pending.items() if now - one.at >= SETTLE]
        unheard = dict[str, str | None]()
        for name in old[:MAX_LOOKED_UP]:
            runs, _ = await self._api.runs(self.pending[name].reference)
            if not runs:
                unheard[name] = None
        for name in old[:MAX_LOOKED_UP]:
            del self.pending[name]
        self.unheard = unheard
