"""A secret of a destination: set outright, or looked up where the settings say it is kept."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeAlias

import httpx

from relay.aws.errors import AwsError
from relay.aws.secrets import Secret
from relay.destinations.http_clients import OnlyPublic
from relay.destinations.http_endpoint import HttpPeer
from relay.destinations.single_event import Starter
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.settings.model import Settings

RegisterSecret: TypeAlias = Callable[[str], None]
"""Hears each secret that was looked up, to keep it out of what is told."""


def ignore_secret(_secret: str) -> None:
    """Where nothing is told, nothing needs to be kept out of it."""


class KeptSecret:
    """The secret of a setting, or of the one named like it with `_secret` behind."""

    def __init__(
        self, settings: Settings, name: str, register_secret: RegisterSecret = ignore_secret
    ) -> None:
        self._learn = register_secret
        given = getattr(settings, name)
        reference = getattr(settings, f"{name}_secret")
        self._variable = f"RELAY_{name.upper()}_SECRET"
        self._given = given.get_secret_value().strip() if given else ""
        self._secret = Secret(reference, max_age=settings.secret_max_age) if reference else None

    async def value(self) -> str:
        """The secret as it is now, empty where there is none.

        Raises:
            Unavailable: it cannot be looked up; nothing was sent.
        """
        return await self._look_up(fresh=False)

    async def refresh(self) -> None:
        """Look it up again, past the cache."""
        await self._look_up(fresh=True)

    async def bearer(self) -> str:
        """The value of an Authorization header with it, empty where there is none.

        Raises:
            Unavailable: as `value`.
        """
        return authorization(await self.value())

    async def _look_up(self, *, fresh: bool) -> str:
        if self._secret is None:
            return self._given
        try:
            found = await self._secret.value(fresh=fresh)
        except AwsError as error:
            raise Unavailable(
                f"a secret cannot be looked up: {error.sentence}",
                setting=None if error.transient else error.variable or self._variable,
                proven=True,
                not_accepted=True,
            ) from error
        for told in (found, authorization(found).partition(" ")[2], found.rpartition(":")[2]):
            self._learn(told)
        return found


def authorization(secret: str) -> str:
    """The header for what people have: `Bearer x` as it is, `user:password`, or a bare token."""
    if not secret or secret.lower().startswith(("bearer ", "basic ")):
        return secret
    if ":" in secret:
        return f"Basic {base64.b64encode(secret.encode()).decode()}"
    return f"Bearer {secret}"


Conflict: TypeAlias = Callable[[Event], None]
"""Called with an event whose id was used for another content."""


async def nothing() -> None:
    """There is no secret to look up again."""


@dataclass(frozen=True, slots=True)
class Started:
    """A starter and what looks its secrets up again."""

    starter: Starter
    refresh: Callable[[], Awaitable[None]] = nothing


async def peer(
    stack: AsyncExitStack,
    settings: Settings,
    url: str,
    setting: str,
    *,
    hide_path: bool = False,
    tls: ssl.SSLContext | None = None,
    resolve: OnlyPublic | None = None,
) -> HttpPeer:
    """The server of the URL, for as long as the stack is open; see `HttpPeer`."""
    found = HttpPeer(
        url,
        setting,
        timeout=settings.request_timeout,
        in_flight=settings.request_concurrency,
        hide_path=hide_path,
        tls=tls,
        resolve=resolve,
    )
    return await stack.enter_async_context(found)


def tls(
    certificate: str | None = None, private_key: str | None = None, authority: str | None = None
) -> ssl.SSLContext | None:
    """How to talk TLS with these files; None for the usual way.

    Raises:
        OSError: one of them cannot be read, or is none (`ssl.SSLError`).
    """
    if not certificate and not authority:
        return None
    if authority:
        context = ssl.create_default_context(cafile=authority)
    else:
        context = httpx.create_ssl_context(trust_env=False)
    if certificate:
        context.load_cert_chain(certificate, private_key, password="")
    return context
