"""Opens the destination of a name."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

from relay.destinations.one_by_one import OneByOne
from relay.settings import Settings
from relay.wiring.kept_secret import Learn, unlearned
from relay.wiring.orchestrators import argo, bullmq, prefect, step_functions, temporal, webhook
from relay.wiring.orchestrators.started import Conflict, Started
from relay.wiring.session import SharedSession


@contextlib.asynccontextmanager
async def open_orchestrator(
    name: str,
    settings: Settings,
    session: SharedSession,
    conflict: Conflict,
    learn: Learn = unlearned,
) -> AsyncIterator[tuple[OneByOne, Callable[[], Awaitable[None]]]]:
    """The destination and what a probe looks up again, for as long as the block runs.

    `conflict` hears of an event whose id was used for another content, `learn` each secret that was
    looked up.

    Raises:
        OSError: a certificate's file cannot be read.
    """
    async with AsyncExitStack() as stack:
        started = await _started(name, settings, stack, session, conflict, learn)
        yield OneByOne(started.starter, settings.concurrency), started.refresh


async def _started(
    name: str,
    settings: Settings,
    stack: AsyncExitStack,
    session: SharedSession,
    conflict: Conflict,
    learn: Learn,
) -> Started:
    match name:
        case "step-functions":
            return step_functions.started(settings, session, conflict)
        case "temporal":
            return temporal.started(settings, learn)
        case "prefect":
            return await prefect.started(settings, stack, learn)
        case "argo":
            return await argo.started(settings, stack, conflict, learn)
        case "webhook":
            return webhook.started(settings, stack, learn)
        case "bullmq":
            return await bullmq.started(settings, stack)
    raise AssertionError(f"no destination is called {name}")
