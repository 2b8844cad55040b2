"""Opens the Inngest destination from the settings, with its keys and confirm mode."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr

from relay.app.destinations.connections import RegisterSecret, tls_context
from relay.app.redaction import create_redactor
from relay.aws.errors import AwsError
from relay.aws.secrets import Secret
from relay.destinations.inngest.confirm import ConfirmedInngest
from relay.destinations.inngest.confirmations import Confirmations
from relay.destinations.inngest.earlier import Attempted, EarlierAttempts, not_attempted
from relay.destinations.inngest.event_api import Inngest
from relay.destinations.inngest.read_back import ReadBack
from relay.model.destination import Destination, Limits, Unavailable
from relay.settings.model import Settings

READ_TIMEOUT = 20.0
"""Seconds for one read-back request. A busy server may need more than ten."""

SEARCH_TIMEOUT = 15.0
"""Seconds to search for events whose request got no answer."""


@dataclass(frozen=True, slots=True)
class OpenedInngest:
    """A destination; `refresh` looks its keys up again, before a probe while halted."""

    destination: Destination
    refresh: Callable[[], Awaitable[None]]


@contextlib.asynccontextmanager
async def open_inngest(
    settings: Settings, register_secret: RegisterSecret, attempted: Attempted = not_attempted
) -> AsyncIterator[OpenedInngest]:
    """The destination, for as long as the block runs. No request is sent yet.

    `register_secret` is called with each key that was looked up. `attempted` returns when an event
    may have been sent before by another process: confirm mode looks for it first.

    Raises:
        OSError: the file with the authority's certificate cannot be read.
    """
    tls = inngest_tls(settings)
    # A self-hosted server accepts any event key, and the path needs one.
    event_key = _Key(
        "event", settings.inngest_event_key or SecretStr("relay"), settings, register_secret
    )
    inngest = Inngest(
        settings.inngest_url,
        event_key.value_or_empty,
        env=settings.inngest_env,
        limits=Limits(max_events=settings.batch_events, max_bytes=settings.batch_bytes),
        timeout=settings.request_timeout,
        seed=settings.inngest_seed,
        repeatable=not settings.confirms,
        redactor=create_redactor(settings),
        tls=tls,
    )
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(inngest)
        if not settings.confirms:
            yield OpenedInngest(inngest, event_key.refresh)
            return
        signing_key = _Key("signing", settings.inngest_signing_key, settings, register_secret)

        async def refresh() -> None:
            await event_key.refresh()
            await signing_key.refresh()

        earlier = EarlierAttempts(attempted)
        confirmed = await _confirmed(inngest, signing_key, settings, earlier, stack)
        yield OpenedInngest(confirmed, refresh)


async def _confirmed(
    inngest: Inngest,
    key: _Key,
    settings: Settings,
    earlier: EarlierAttempts,
    stack: contextlib.AsyncExitStack,
) -> Destination:
    reader = await stack.enter_async_context(
        open_reader(settings, key.value, inngest_tls(settings))
    )
    confirmations = Confirmations(reader, deadline=settings.confirm_deadline)
    await stack.enter_async_context(confirmations)
    search_timeout = min(SEARCH_TIMEOUT, settings.confirm_deadline)
    return ConfirmedInngest(
        inngest, confirmations, reader, search_timeout=search_timeout, earlier=earlier
    )


def inngest_tls(settings: Settings) -> ssl.SSLContext | None:
    """The TLS context for Inngest; None for the default one.

    Raises:
        OSError: the file with the authority's certificate cannot be read.
    """
    return tls_context(ca_file=settings.inngest_ca_file)


def open_reader(
    settings: Settings,
    key: Callable[[], Awaitable[str | None]],
    tls: ssl.SSLContext | None = None,
) -> ReadBack:
    """Confirm mode's reader of stored events, to be entered. `key` returns the signing key."""
    return ReadBack(
        settings.inngest_url,
        key,
        cloud=settings.cloud,
        env=settings.inngest_env,
        timeout=min(READ_TIMEOUT, settings.confirm_deadline),
        tls=tls,
    )


class _Key:
    """The key that a setting holds, or that its `…_secret` setting says where to look up."""

    def __init__(
        self,
        kind: Literal["event", "signing"],
        given: SecretStr | None,
        settings: Settings,
        register_secret: RegisterSecret,
    ) -> None:
        reference: str | None = getattr(settings, f"inngest_{kind}_key_secret")
        self._kind = kind
        self._variable = f"RELAY_INNGEST_{kind.upper()}_KEY_SECRET"
        self._register_secret = register_secret
        self._given = given.get_secret_value() if given else None
        self._secret = Secret(reference, max_age=settings.secret_max_age) if reference else None

    async def value(self) -> str | None:
        """The current key, None if there is none.

        Raises:
            Unavailable: it cannot be looked up; nothing was sent.
        """
        return await self._look_up(fresh=False)

    async def value_or_empty(self) -> str:
        """The current key, empty if there is none. Raises as `value` does."""
        return await self.value() or ""

    async def refresh(self) -> None:
        """Look it up again, past the cache."""
        await self._look_up(fresh=True)

    async def _look_up(self, *, fresh: bool) -> str | None:
        if self._secret is None:
            return self._given
        try:
            found = await self._secret.value(fresh=fresh)
        except AwsError as error:
            raise Unavailable(
                f"the {self._kind} key cannot be looked up: {error.sentence}",
                setting=None if error.transient else error.variable or self._variable,
                proven=True,
                not_accepted=True,
            ) from error
        self._register_secret(found)
        return found
