"""BullMQ, wired."""

from __future__ import annotations

from contextlib import AsyncExitStack

from relay.destinations.bullmq import BullMQ
from relay.settings import Settings
from relay.wiring.orchestrators.started import Started


async def started(settings: Settings, stack: AsyncExitStack) -> Started:
    """Adds jobs to the queue that the settings name."""
    url = settings.bullmq_url.get_secret_value() if settings.bullmq_url else ""
    starter = BullMQ(
        url,
        settings.bullmq_queue or "",
        prefix=settings.bullmq_prefix,
        attempts=settings.bullmq_attempts,
        kept=settings.bullmq_kept,
        what=settings.content,
        timeout=settings.request_timeout,
        in_flight=settings.concurrency,
    )
    return Started(await stack.enter_async_context(starter))
