"""The webhook, wired: its URL is a secret that may be kept elsewhere, and may change."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack

from relay.app.destinations.connections import KeptSecret, RegisterSecret, Started, peer, tls
from relay.destinations.http_clients import OnlyPublic
from relay.destinations.http_endpoint import HttpPeer
from relay.destinations.single_event import content
from relay.destinations.webhook import URL, Webhook, traits
from relay.destinations.webhook_rules import PRESETS, parse_rules
from relay.destinations.webhook_signature import signing_key
from relay.model.event import Event
from relay.model.outcome import Outcome
from relay.model.traits import Traits
from relay.settings.destination_value_types import parse_headers
from relay.settings.model import Settings


def started(settings: Settings, stack: AsyncExitStack, register_secret: RegisterSecret) -> Started:
    """Starts what listens at the URL that the settings hold, or say where to look up.

    Raises:
        OSError: a certificate's file cannot be read.
    """
    url = KeptSecret(settings, "webhook_url", register_secret)
    trust = tls(settings.webhook_cert_file, settings.webhook_key_file, settings.webhook_ca_file)
    return Started(Hook(settings, url, trust, stack), url.refresh)


class Hook:
    """The webhook of the URL as it is now; another one after the URL has changed."""

    def __init__(
        self,
        settings: Settings,
        url: KeptSecret,
        trust: ssl.SSLContext | None,
        stack: AsyncExitStack,
    ) -> None:
        self._settings = settings
        self._url = url
        self._trust = trust
        self._stack = stack
        self._made: tuple[str, Webhook] | None = None

    @property
    def traits(self) -> Traits:
        """What the receiver is said to promise."""
        return traits(PRESETS[self._settings.webhook_preset], self._settings.webhook_dedup_window)

    def payload(self, event: Event) -> bytes:
        """The body of the request."""
        return content(event, self._settings.content)

    async def start(self, event: Event, payload: bytes) -> Outcome:
        """One POST.

        Raises:
            Unavailable: also where the URL cannot be looked up.
        """
        return await (await self._webhook()).start(event, payload)

    async def _webhook(self) -> Webhook:
        url = await self._url.value()
        if self._made is None or self._made[0] != url:
            self._made = url, _webhook(self._settings, await self._peer(url))
        return self._made[1]

    async def _peer(self, url: str) -> HttpPeer:
        return await peer(
            self._stack,
            self._settings,
            url,
            URL,
            hide_path=True,
            tls=self._trust,
            resolve=None if self._settings.webhook_allow_private else OnlyPublic(URL),
        )


def _webhook(settings: Settings, at: HttpPeer) -> Webhook:
    given = (settings.webhook_signing_key, settings.webhook_signing_key_old)
    headers = settings.webhook_headers
    return Webhook(
        at,
        PRESETS[settings.webhook_preset],
        rules=parse_rules(settings.webhook_status_rules),
        keys=[signing_key(key.get_secret_value()) for key in given if key is not None],
        headers=parse_headers(headers.get_secret_value()) if headers else None,
        what=settings.content,
        dedup_window=settings.webhook_dedup_window,
    )
