"""Opens the webhook destination: its URL is a secret that may be looked up and may change."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack

from relay.app.destinations.connections import (
    OpenedStarter,
    RegisterSecret,
    SecretSetting,
    open_endpoint,
    tls_context,
)
from relay.destinations.http_endpoint import HttpEndpoint
from relay.destinations.public_addresses import PublicAddressResolver
from relay.destinations.single_event import content
from relay.destinations.webhook import URL, Webhook, traits
from relay.destinations.webhook_rules import PRESETS, parse_rules
from relay.destinations.webhook_signature import signing_key
from relay.model.event import Event
from relay.model.outcome import Outcome
from relay.model.traits import Traits
from relay.settings.destination_value_types import parse_headers
from relay.settings.model import Settings


def open_starter(
    settings: Settings, stack: AsyncExitStack, register_secret: RegisterSecret
) -> OpenedStarter:
    """The starter for the URL that the settings hold, or say where to look up.

    Raises:
        OSError: a certificate file cannot be read.
    """
    url = SecretSetting(settings, "webhook_url", register_secret)
    tls = tls_context(
        settings.webhook_cert_file, settings.webhook_key_file, settings.webhook_ca_file
    )
    return OpenedStarter(CurrentWebhook(settings, url, tls, stack), url.refresh)


class CurrentWebhook:
    """The webhook at the current URL; a new one is opened after the URL has changed."""

    def __init__(
        self,
        settings: Settings,
        url: SecretSetting,
        tls: ssl.SSLContext | None,
        stack: AsyncExitStack,
    ) -> None:
        self._settings = settings
        self._url = url
        self._tls = tls
        self._stack = stack
        self._opened: tuple[str, Webhook] | None = None

    @property
    def traits(self) -> Traits:
        """The receiver's traits, as the settings describe them."""
        return traits(PRESETS[self._settings.webhook_preset], self._settings.webhook_dedup_window)

    def payload(self, event: Event) -> bytes:
        """The body of the request."""
        return content(event, self._settings.content)

    async def start(self, event: Event, payload: bytes) -> Outcome:
        """Send one POST.

        Raises:
            Unavailable: also when the URL cannot be looked up.
        """
        return await (await self._webhook()).start(event, payload)

    async def _webhook(self) -> Webhook:
        url = await self._url.value()
        if self._opened is None or self._opened[0] != url:
            self._opened = url, _webhook(self._settings, await self._endpoint(url))
        return self._opened[1]

    async def _endpoint(self, url: str) -> HttpEndpoint:
        return await open_endpoint(
            self._stack,
            self._settings,
            url,
            URL,
            hide_path=True,
            tls=self._tls,
            resolve=None if self._settings.webhook_allow_private else PublicAddressResolver(URL),
        )


def _webhook(settings: Settings, endpoint: HttpEndpoint) -> Webhook:
    keys = (settings.webhook_signing_key, settings.webhook_signing_key_old)
    headers = settings.webhook_headers
    return Webhook(
        endpoint,
        PRESETS[settings.webhook_preset],
        rules=parse_rules(settings.webhook_status_rules),
        keys=[signing_key(key.get_secret_value()) for key in keys if key is not None],
        headers=parse_headers(headers.get_secret_value()) if headers else None,
        what=settings.content,
        dedup_window=settings.webhook_dedup_window,
    )
