"""Opens the BullMQ destination: the URL of Redis may be looked up, and may change."""

from __future__ import annotations

from contextlib import AsyncExitStack

from pydantic import SecretStr

from relay.app.destinations.connections import OpenedStarter, RegisterSecret, SecretSetting
from relay.destinations.bullmq import BullMQ, traits
from relay.destinations.single_event import content
from relay.model.destination import Unavailable
from relay.model.event import Event
from relay.model.outcome import Outcome
from relay.model.traits import Traits
from relay.settings.destination_value_types import redis_address
from relay.settings.model import Settings

SECRET = "RELAY_BULLMQ_URL_SECRET"  # noqa: S105 - the name of a variable


def open_starter(
    settings: Settings, stack: AsyncExitStack, register_secret: RegisterSecret
) -> OpenedStarter:
    """The starter for the Redis whose URL the settings hold, or say where to look up."""
    url = SecretSetting(settings, "bullmq_url", register_secret)
    return OpenedStarter(CurrentQueue(settings, url, stack), url.refresh)


class CurrentQueue:
    """The queue at the current URL; a new one is opened after the URL has changed."""

    def __init__(self, settings: Settings, url: SecretSetting, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._url = url
        self._stack = stack
        self._opened: tuple[str, BullMQ] | None = None

    @property
    def traits(self) -> Traits:
        """The queue's traits."""
        return traits(self._settings.bullmq_job_retention)

    def payload(self, event: Event) -> bytes:
        """The job's data."""
        return content(event, self._settings.content)

    async def start(self, event: Event, payload: bytes) -> Outcome:
        """Add one job.

        Raises:
            Unavailable: also when the URL cannot be looked up or is none.
        """
        url = await self._url.value()
        if self._opened is None or self._opened[0] != url:
            opened = self._queue(url)
            # Registered at once: a concurrent caller must not open another one.
            self._opened = url, opened
            self._stack.push_async_exit(opened)
        return await self._opened[1].start(event, payload)

    def _queue(self, url: str) -> BullMQ:
        try:
            redis_address(SecretStr(url))
        except ValueError as error:
            raise Unavailable(
                f"the secret is {error}", setting=SECRET, proven=True, not_accepted=True
            ) from None
        return BullMQ(
            url,
            self._settings.bullmq_queue or "",
            prefix=self._settings.bullmq_prefix,
            attempts=self._settings.bullmq_attempts,
            job_retention=self._settings.bullmq_job_retention,
            what=self._settings.content,
            timeout=self._settings.request_timeout,
            in_flight=self._settings.request_concurrency,
            ca_file=self._settings.bullmq_ca_file,
        )
