"""The orchestrator of a simulated world, which can be down in several ways."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relay.model import destination
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Delivered, Outcome
from relay.settings import clocks
from tests.forwarding.virtual_time import now


@dataclass(frozen=True)
class Outage:
    """How the orchestrator fails while it is down."""

    error: Callable[[], Unavailable]
    seconds: float


REFUSED = Outage(lambda: Unavailable("refused", proven=True, not_accepted=True), 0.01)


SILENT = Outage(lambda: Unavailable("no answer in 30 s"), clocks.REQUEST_TIMEOUT)


BAD_GATEWAY = Outage(lambda: Unavailable("502: no error message of the event API"), 0.05)


FORBIDDEN = Outage(
    lambda: Unavailable("403", setting="RELAY_INNGEST_EVENT_KEY", not_accepted=True), 0.05
)


class Orchestrator:
    """Counts the accepted events by id; during an `outage` every request fails instead.

    An `answer` is the outcome of every event.
    """

    limits = destination.Limits()

    def __init__(self) -> None:
        self.outage: Outage | None = None
        self.answer: Outcome | None = None
        self.accepted: Counter[str] = Counter()
        self.requests: list[tuple[float, int]] = []

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        self.requests.append((now(), len(events)))
        if self.outage is not None:
            outage = self.outage
            await asyncio.sleep(outage.seconds)
            raise outage.error()
        await asyncio.sleep(0.02)
        if self.answer is not None:
            return [self.answer for _ in events]
        self.accepted.update(event.id for event in events)
        return [Delivered(f"ref-{event.id}") for event in events]
