"""What a destination is connected with: its secrets, its HTTP endpoint and its TLS context."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeAlias

from relay.app.redaction import create_redactor
from relay.aws.errors import AwsError
from relay.aws.secrets import Secret
from relay.destinations.http_endpoint import HttpEndpoint
from relay.destinations.public_addresses import PublicAddressResolver
from relay.destinations.single_event import Starter
from relay.http.tls import default_context
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.settings.model import Settings

OnConflict: TypeAlias = Callable[[Event], None]
"""Called with an event whose id was used for other content."""

RegisterSecret: TypeAlias = Callable[[str], None]
"""Called with each secret that was looked up, so that logs and output redact it."""


def ignore_secret(_secret: str) -> None:
    """A `RegisterSecret` for callers that print nothing."""


async def nothing() -> None:
    """A refresh for a destination without looked-up secrets."""


@dataclass(frozen=True, slots=True)
class OpenedStarter:
    """A starter, and the function that looks its secrets up again."""

    starter: Starter
    refresh: Callable[[], Awaitable[None]] = nothing


class SecretSetting:
    """The secret that a setting holds, or that its `…_secret` setting says where to look up."""

    def __init__(
        self, settings: Settings, name: str, register_secret: RegisterSecret = ignore_secret
    ) -> None:
        self._register_secret = register_secret
        given = getattr(settings, name)
        reference = getattr(settings, f"{name}_secret")
        self._variable = f"RELAY_{name.upper()}_SECRET"
        self._given = given.get_secret_value().strip() if given else ""
        self._secret = Secret(reference, max_age=settings.secret_max_age) if reference else None

    async def value(self) -> str:
        """The current secret, empty if there is none.

        Raises:
            Unavailable: it cannot be looked up; nothing was sent.
        """
        return await self._look_up(fresh=False)

    async def refresh(self) -> None:
        """Look it up again, past the cache."""
        await self._look_up(fresh=True)

    async def authorization(self) -> str:
        """The value of an Authorization header with the secret, empty if there is none.

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
        self._register_secret(found)
        return found


def authorization(secret: str) -> str:
    """The Authorization header for `Bearer x` or `Basic x`, `user:password`, or a bare token."""
    if not secret or secret.lower().startswith(("bearer ", "basic ")):
        return secret
    if ":" in secret:
        return f"Basic {base64.b64encode(secret.encode()).decode()}"
    return f"Bearer {secret}"


async def open_endpoint(
    stack: AsyncExitStack,
    settings: Settings,
    url: str,
    setting: str,
    *,
    hide_path: bool = False,
    tls: ssl.SSLContext | None = None,
    resolve: PublicAddressResolver | None = None,
) -> HttpEndpoint:
    """The endpoint at the URL, open for as long as the stack is; see `HttpEndpoint`."""
    endpoint = HttpEndpoint(
        url,
        setting,
        redactor=create_redactor(settings),
        timeout=settings.request_timeout,
        in_flight=settings.request_concurrency,
        hide_path=hide_path,
        tls=tls,
        resolve=resolve,
    )
    return await stack.enter_async_context(endpoint)


def tls_context(
    cert_file: str | None = None, key_file: str | None = None, ca_file: str | None = None
) -> ssl.SSLContext | None:
    """The TLS context for these PEM files; None for the default one.

    Raises:
        OSError: a file cannot be read or is invalid (`ssl.SSLError`).
    """
    if not cert_file and not ca_file:
        return None
    context = ssl.create_default_context(cafile=ca_file) if ca_file else default_context()
    if cert_file:
        context.load_cert_chain(cert_file, key_file, password="")
    return context
