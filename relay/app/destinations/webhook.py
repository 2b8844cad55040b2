"""Opens the webhook destination: its URL, keys and headers may be looked up, and may change."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

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
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Outcome
from relay.model.traits import Traits
from relay.settings.destination_value_types import parse_headers
from relay.settings.model import Settings

T = TypeVar("T")

SIGNING_KEYS = ("webhook_signing_key", "webhook_signing_key_old")
HEADERS = "webhook_headers"
SECRETS = ("webhook_url", *SIGNING_KEYS, HEADERS)
"""The settings that may be looked up."""


def open_starter(
    settings: Settings, stack: AsyncExitStack, register_secret: RegisterSecret
) -> OpenedStarter:
    """The starter for what the settings hold, or say where to look up.

    Raises:
        OSError: a certificate file cannot be read.
    """
    secrets = [SecretSetting(settings, name, register_secret) for name in SECRETS]
    tls = tls_context(
        settings.webhook_cert_file, settings.webhook_key_file, settings.webhook_ca_file
    )

    async def refresh() -> None:
        for secret in secrets:
            await secret.refresh()

    return OpenedStarter(CurrentWebhook(settings, secrets, tls, stack), refresh)


class CurrentWebhook:
    """The webhook with the current URL, keys and headers; a new one is opened after a change."""

    def __init__(
        self,
        settings: Settings,
        secrets: Sequence[SecretSetting],
        tls: ssl.SSLContext | None,
        stack: AsyncExitStack,
    ) -> None:
        self._settings = settings
        self._secrets = secrets
        self._tls = tls
        self._stack = stack
        self._opened: tuple[list[str], Webhook] | None = None

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
            Unavailable: also when a secret cannot be looked up.
        """
        return await (await self._webhook()).start(event, payload)

    async def _webhook(self) -> Webhook:
        values = [await secret.value() for secret in self._secrets]
        if self._opened is None or self._opened[0] != values:
            url, *keys, headers = values
            named = [(name, key) for name, key in zip(SIGNING_KEYS, keys, strict=True) if key]
            parsed = [_parsed(name, signing_key, key) for name, key in named]
            added = _parsed(HEADERS, parse_headers, headers)
            endpoint = await self._endpoint(url)
            self._opened = values, _webhook(self._settings, endpoint, parsed, added)
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


def _parsed(name: str, parse: Callable[[str], T], text: str) -> T:
    """What the looked-up text of a setting contains.

    Raises:
        Unavailable: it cannot be used.
    """
    try:
        return parse(text)
    except ValueError as error:
        raise Unavailable(
            f"the secret cannot be used: {error}",
            setting=f"RELAY_{name.upper()}_SECRET",
            proven=True,
            not_accepted=True,
        ) from None


def _webhook(
    settings: Settings, endpoint: HttpEndpoint, keys: Sequence[bytes], headers: Mapping[str, str]
) -> Webhook:
    return Webhook(
        endpoint,
        PRESETS[settings.webhook_preset],
        rules=parse_rules(settings.webhook_status_rules),
        keys=keys,
        headers=headers,
        what=settings.content,
        dedup_window=settings.webhook_dedup_window,
    )
