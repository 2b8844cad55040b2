"""The relay's own handler for dead letters that an operator brings straight to the destination."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator

from relay.aws.sqs import Queue
from relay.dlq.straight_road import DEADLINE, Ends, NoCopies, StraightRoad
from relay.settings import Settings
from relay.wiring.core import running
from relay.wiring.telemetry import Telemetry

LAST = 5.0
"""Seconds for what is on the wire when the road is left."""


@contextlib.asynccontextmanager
async def straight(
    settings: Settings, dead: Queue, max_bytes: int, deadline: float = DEADLINE
) -> AsyncIterator[StraightRoad]:
    """The road, for as long as the block runs.

    What a letter was dead-lettered for is known: no guard holds it back, and its age is no reason.
    """
    ends = Ends()
    lenient = settings.model_copy(update={"queue_retention": math.inf, "reject_guard": False})
    unheard = Telemetry(observe=ends.observe, around=lambda way: way, beside=lambda app: app)
    async with running(lenient, unheard, NoCopies()) as core:
        road = StraightRoad(core.handler.handle, ends, dead, max_bytes=max_bytes, deadline=deadline)
        try:
            yield road
        finally:
            await core.stop(LAST)
