"""The webhook, wired."""

from __future__ import annotations

from contextlib import AsyncExitStack

from relay.destinations.addresses import OnlyPublic
from relay.destinations.http_peer import HttpPeer
from relay.destinations.webhook import URL, Webhook
from relay.destinations.webhook_presets import PRESETS
from relay.destinations.webhook_rules import parse_rules
from relay.destinations.webhook_signature import signing_key
from relay.settings import Settings
from relay.settings.orchestrator_kinds import parsed_headers
from relay.wiring.kept_secret import KeptSecret
from relay.wiring.orchestrators.peer import peer, tls
from relay.wiring.orchestrators.started import Started


async def started(settings: Settings, stack: AsyncExitStack) -> Started:
    """Starts what listens at the URL that the settings hold."""
    given = (settings.webhook_signing_key, settings.webhook_signing_key_old)
    headers = settings.webhook_headers
    starter = Webhook(
        await _peer(settings, stack),
        PRESETS[settings.webhook_preset],
        rules=parse_rules(settings.webhook_statuses),
        keys=[signing_key(key.get_secret_value()) for key in given if key is not None],
        headers=parsed_headers(headers.get_secret_value()) if headers else None,
        what=settings.content,
        remembered=settings.webhook_remembers,
    )
    return Started(starter)


async def _peer(settings: Settings, stack: AsyncExitStack) -> HttpPeer:
    return await peer(
        stack,
        settings,
        await KeptSecret(settings, "webhook_url").value(),
        URL,
        hide_path=True,
        tls=tls(
            settings.webhook_certificate, settings.webhook_private_key, settings.webhook_authority
        ),
        resolve=None if settings.webhook_private else OnlyPublic(URL),
    )
