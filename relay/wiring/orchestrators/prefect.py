"""Prefect, wired."""

from __future__ import annotations

from contextlib import AsyncExitStack

from relay.destinations.prefect import URL, Prefect
from relay.settings import Settings
from relay.wiring.kept_secret import KeptSecret, Learn
from relay.wiring.orchestrators.peer import peer
from relay.wiring.orchestrators.started import Started


async def started(settings: Settings, stack: AsyncExitStack, learn: Learn) -> Started:
    """Starts flow runs of the deployment that the settings name."""
    key = KeptSecret(settings, "prefect_api_key", learn)
    starter = Prefect(
        await peer(stack, settings, settings.prefect_api_url or "", URL),
        settings.prefect_deployment or "",
        credential=key.bearer,
        parameter=settings.prefect_parameter,
        what=settings.content,
    )
    return Started(starter, key.refresh)
