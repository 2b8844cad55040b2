"""A destination that refuses some events and hints at one of them, correctly or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from relay.model.destination import BatchRefused
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome, Reject
from tests.forwarding.scripted import LATENCY, Scripted

NAMES = [f"e-{i:02}" for i in range(40)]


Hint = Callable[[Sequence[Event], int], int | None]


def honest(events: Sequence[Event], bad_index: int) -> int | None:
    return bad_index


class Strict(Scripted):
    """Refuses requests that contain an event of `bad`; `hint` chooses the event it points at.

    Like Inngest, it stores the events before the bad one.
    """

    def __init__(self, bad: set[str], hint: Hint = honest, *, max_events: int = 100) -> None:
        super().__init__(max_events=max_events)
        self.bad = bad
        self.hint = hint
        self.stored: set[str] = set()
        self.answer = self.refuse

    async def refuse(self, events: Sequence[Event]) -> Sequence[Outcome]:
        await asyncio.sleep(LATENCY)
        bad_index = next((i for i, e in enumerate(events) if e.id in self.bad), None)
        if bad_index is None:
            self.stored.update(e.id for e in events)
            return [Delivered() for _ in events]
        self.stored.update(e.id for e in events[:bad_index])
        if len(events) == 1:
            return [Reject("refused_by_destination", "event name is empty")]
        raise BatchRefused("event name is empty", suspect=self.hint(events, bad_index))
