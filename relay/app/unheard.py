"""Sweeps a running relay's deliveries for names that no function listens to, if settings say so."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from relay.app.destinations.reading import open_inngest
from relay.dlq.safeguards import RateLimit
from relay.model.destination import Unavailable
from relay.ops.audit.requests import BoundedRequests
from relay.ops.audit.unheard import UnheardSweep
from relay.ops.inngest_api import UnusableAnswer
from relay.ops.trace.timeline import SourceUnavailable
from relay.settings.model import Settings

CONCURRENCY = 2
RATE = 5.0
"""Requests at once and a second: deliveries come first."""

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_unheard_sweep(
    settings: Settings, every: float
) -> AsyncIterator[UnheardSweep | None]:
    """Sweep every so many seconds, for as long as the block runs.

    A signing key that cannot be looked up is logged, and there is no sweep then.
    """
    async with AsyncExitStack() as stack:
        try:
            queries = await stack.enter_async_context(await open_inngest(settings))
        except SourceUnavailable as error:
            _log.warning("RELAY_UNHEARD_EVERY has no effect: %s", error)
            yield None
            return
        requests = BoundedRequests(queries, RateLimit(RATE), concurrency=CONCURRENCY)
        sweep = UnheardSweep(requests, settings.unheard_signals)
        sweeping = asyncio.create_task(_sweep(sweep, every), name="unheard")
        try:
            yield sweep
        finally:
            sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sweeping


async def _sweep(sweep: UnheardSweep, every: float) -> None:
    failing, known = False, set[str]()
    while True:
        await asyncio.sleep(every)
        try:
            await sweep.sweep()
            failing = False
        except (Unavailable, UnusableAnswer) as error:
            if not failing:
                _log.warning("the sweep for unheard events failed and is repeated: %s", error)
            failing = True
        except Exception:  # noqa: BLE001 - one failure must not end the sweeps
            _log.exception("the sweep for unheard events failed and is repeated")
        for name, nearest in sweep.unheard.items():
            if name not in known:
                like = f"; the nearest name that one does is {nearest}" if nearest else ""
                _log.warning("no function listens to %s%s: `relay audit --unheard`", name, like)
        known = set(sweep.unheard)
