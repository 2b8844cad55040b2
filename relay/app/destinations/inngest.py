"""The destination that the settings name, with its keys and what a probe looks up again."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr

from relay.app.destinations.connections import RegisterSecret
from relay.aws.errors import AwsError
from relay.aws.secrets import Secret
from relay.destinations.inngest.confirm import Confirmed
from relay.destinations.inngest.confirmations import Confirmations
from relay.destinations.inngest.event_api import Inngest
from relay.destinations.inngest.read_back import ReadBack
from relay.model.destination import Destination, Limits, Unavailable
from relay.settings.model import Settings

READING = 10.0
"""Seconds for one look-up of what is stored."""

FINDING = 15.0
"""Seconds for finding events whose request got no answer."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A destination; `refresh` looks its secrets up again, for a probe after a refusal."""

    destination: Destination
    refresh: Callable[[], Awaitable[None]]


@contextlib.asynccontextmanager
async def open_destination(
    settings: Settings, register_secret: RegisterSecret
) -> AsyncIterator[Opened]:
    """The destination, for as long as the block runs. Nobody is called yet.

    `learn` hears each key that was looked up.
    """
    # A server of one's own takes any event key, and the path needs one.
    event_key = _Key(
        "event", settings.inngest_event_key or SecretStr("relay"), settings, register_secret
    )
    inngest = Inngest(
        settings.inngest_url,
        event_key.sure,
        env=settings.inngest_env,
        limits=Limits(max_events=settings.batch_events, max_bytes=settings.batch_bytes),
        timeout=settings.request_timeout,
        seed=settings.inngest_seed,
    )
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(inngest)
        if not settings.confirms:
            yield Opened(inngest, event_key.refresh)
            return
        signing_key = _Key("signing", settings.inngest_signing_key, settings, register_secret)

        async def refresh() -> None:
            await event_key.refresh()
            await signing_key.refresh()

        yield Opened(await _confirmed(inngest, signing_key, settings, stack), refresh)


async def _confirmed(
    inngest: Inngest, key: _Key, settings: Settings, stack: contextlib.AsyncExitStack
) -> Destination:
    reading = ReadBack(
        settings.inngest_url,
        key.value,
        cloud=settings.cloud,
        env=settings.inngest_env,
        timeout=min(READING, settings.confirm_deadline),
    )
    await stack.enter_async_context(reading)
    confirmations = Confirmations(reading, deadline=settings.confirm_deadline)
    await stack.enter_async_context(confirmations)
    patience = min(FINDING, settings.confirm_deadline)
    return Confirmed(inngest, confirmations, reading, patience=patience)


class _Key:
    """A key that is set, or looked up where the settings say it is kept."""

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
        self._learn = register_secret
        self._given = given.get_secret_value() if given else None
        self._secret = Secret(reference, max_age=settings.secret_max_age) if reference else None

    async def value(self) -> str | None:
        """The key as it is now, None where there is none.

        Raises:
            Unavailable: it cannot be looked up; nothing was sent.
        """
        return await self._look_up(fresh=False)

    async def sure(self) -> str:
        """The same, empty where there is none."""
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
        self._learn(found)
        return found
