"""The destination that the settings name, with its keys and what a probe looks up again."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from pydantic import SecretStr

from relay.aws.errors import QueueError
from relay.aws.secrets import Secret
from relay.destinations.inngest import Inngest
from relay.message import Destination, Limits, Unavailable
from relay.settings import Settings

KeyOf = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Opened:
    """A destination; `refresh` looks its secrets up again, for a probe after a refusal."""

    destination: Destination
    refresh: Callable[[], Awaitable[None]]


@contextlib.asynccontextmanager
async def open_destination(settings: Settings) -> AsyncIterator[Opened]:
    """The destination, for as long as the block runs. Nobody is called yet."""
    event_key = _Key(
        settings.inngest_event_key, settings.inngest_event_key_secret, settings.secret_max_age
    )
    inngest = Inngest(
        settings.inngest_url,
        event_key.value,
        env=settings.inngest_env,
        limits=Limits(max_events=settings.batch_events, max_bytes=settings.batch_bytes),
        timeout=settings.request_timeout,
    )
    async with inngest:
        yield Opened(inngest, event_key.refresh)


class _Key:
    """A key that is set, or looked up where the settings say it is kept."""

    def __init__(self, given: SecretStr | None, reference: str | None, max_age: float) -> None:
        # A server of one's own takes any key, and the path needs one.
        self._given = given.get_secret_value() if given else "relay"
        self._secret = Secret(reference, max_age=max_age) if reference else None
        self._reference = reference

    async def value(self) -> str:
        """The key as it is now.

        Raises:
            Unavailable: it cannot be looked up; nothing was sent.
        """
        return await self._look_up(fresh=False)

    async def refresh(self) -> None:
        """Look it up again, past the cache."""
        await self._look_up(fresh=True)

    async def _look_up(self, *, fresh: bool) -> str:
        if self._secret is None:
            return self._given
        try:
            return await self._secret.value(fresh=fresh)
        except QueueError as error:
            raise Unavailable(
                f"the event key cannot be looked up: {error.sentence}",
                setting="RELAY_INNGEST_EVENT_KEY_SECRET",
                proven=True,
                untaken=True,
            ) from error
