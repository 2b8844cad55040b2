"""Opens the destination of a name."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

from relay.app.destinations import starters, temporal, webhook
from relay.app.destinations.connections import Conflict, RegisterSecret, Started, ignore_secret
from relay.aws.session import SharedSession
from relay.destinations.single_event import OneByOne
from relay.settings.model import Settings


@contextlib.asynccontextmanager
async def open_orchestrator(
    name: str,
    settings: Settings,
    session: SharedSession,
    conflict: Conflict,
    register_secret: RegisterSecret = ignore_secret,
) -> AsyncIterator[tuple[OneByOne, Callable[[], Awaitable[None]]]]:
    """The destination and what a probe looks up again, for as long as the block runs.

    `conflict` hears of an event whose id was used for another content, `learn` each secret that was
    looked up.

    Raises:
        OSError: a certificate's file cannot be read.
    """
    async with AsyncExitStack() as stack:
        started = await _started(name, settings, stack, session, conflict, register_secret)
        yield OneByOne(started.starter, settings.request_concurrency), started.refresh


async def _started(
    name: str,
    settings: Settings,
    stack: AsyncExitStack,
    session: SharedSession,
    conflict: Conflict,
    register_secret: RegisterSecret,
) -> Started:
    match name:
        case "step-functions":
            return starters.step_functions(settings, session, conflict)
        case "temporal":
            return temporal.started(settings, register_secret)
        case "prefect":
            return await starters.prefect(settings, stack, register_secret)
        case "argo":
            return await starters.argo(settings, stack, conflict, register_secret)
        case "webhook":
            return webhook.started(settings, stack, register_secret)
        case "bullmq":
            return await starters.bullmq(settings, stack)
    raise AssertionError(f"no destination is called {name}")
