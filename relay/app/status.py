"""The looks of `relay status`, wired: the queues that the settings name, and the relays."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack

import httpx

from relay.aws.cloudwatch import oldest_message_ages
from relay.aws.errors import AwsError
from relay.aws.session import SharedSession
from relay.aws.sqs import Queue, open_queue
from relay.ops.status import RELAY_TIMEOUT, QueueStatus, StatusReport, fetch_relay_status
from relay.settings.model import Settings

AGE_EVERY = 60.0
"""Seconds between two questions for ages: they are measured once a minute, and cost."""


class StatusCollector:
    """Looks at everything again and again; what failed is tried anew each time.

    `last` is the last look, None before the first.
    """

    def __init__(
        self,
        settings: Settings,
        urls: Sequence[str],
        stack: AsyncExitStack,
        client: httpx.AsyncClient,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._urls = urls
        self._stack = stack
        self._client = client
        self._clock = clock
        self._session = SharedSession(stack)
        self._queues: list[Queue] = []
        self._ages: dict[str, float] = {}
        self._aged_at = float("-inf")
        self._no_age: str | None = None
        self.last: StatusReport | None = None

    async def collect(self) -> StatusReport:
        """One look at all of it."""
        queues, relays = await asyncio.gather(
            self._of_queues(),
            asyncio.gather(*(fetch_relay_status(self._client, url) for url in self._urls)),
        )
        found, gaps = queues
        self.last = StatusReport(at=self._clock(), queues=found, relays=tuple(relays), gaps=gaps)
        return self.last

    async def _of_queues(self) -> tuple[tuple[QueueStatus, ...], tuple[str, ...]]:
        if self._settings.queue_url is None and self._settings.dlq_url is None:
            return (), ("no queue is named: set RELAY_QUEUE_URL to see it",)
        try:
            await self._find()
            counts = [await queue.attributes() for queue in self._queues]
        except AwsError as error:
            return (), (error.sentence,)
        await self._age()
        samples = tuple(
            QueueStatus(
                name=queue.name,
                visible=count.visible,
                in_flight=count.in_flight,
                delayed=count.delayed,
                oldest=self._ages.get(queue.name),
            )
            for queue, count in zip(self._queues, counts, strict=True)
        )
        return samples, (self._no_age,) if self._no_age else ()

    async def _find(self) -> None:
        """Open the queues, the second by the first one's redrive policy if it is not named."""
        if self._queues:
            return
        opened, dead = list[Queue](), self._settings.dlq_url
        if self._settings.queue_url is not None:
            opened.append(await self._open(self._settings.queue_url))
            policy = (await opened[0].attributes()).redrive
            dead = dead or (policy.target_arn if policy else None)
        if dead is not None:
            opened.append(await self._open(dead))
        self._queues = opened

    async def _open(self, reference: str) -> Queue:
        return await self._stack.enter_async_context(open_queue(await self._session(), reference))

    async def _age(self) -> None:
        now = self._clock()
        if now - self._aged_at < AGE_EVERY:
            return
        self._aged_at = now
        names = [queue.name for queue in self._queues]
        try:
            self._ages, self._no_age = (
                await oldest_message_ages(await self._session(), names, now),
                None,
            )
        except AwsError as error:
            self._no_age = f"no ages: {error.sentence}"


@contextlib.asynccontextmanager
async def open_collector(settings: Settings, urls: Sequence[str]) -> AsyncIterator[StatusCollector]:
    """What looks, for as long as the block runs."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                timeout=RELAY_TIMEOUT,
                trust_env=False,
                # Reading the certificates takes longer than a relay's answer.
                verify=any(url.startswith("https:") for url in urls),
            )
        )
        yield StatusCollector(settings, urls, stack, client)
