"""Collect status reports for `relay status` from SQS, CloudWatch and the relays."""

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
from relay.delivery.pause import CHECK_EVERY, read_pause
from relay.ops.status import RELAY_TIMEOUT, QueueStatus, StatusReport, fetch_relay_status
from relay.settings.model import Settings

AGE_INTERVAL = 60.0
"""Seconds between two CloudWatch requests: the ages are updated once a minute, and cost money."""


class StatusCollector:
    """Collects one report at a time. Whatever failed is tried again for the next report.

    `last` is the latest report, None before the first.
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
        self._ages_read_at = float("-inf")
        self._ages_problem: str | None = None
        self._pause: str | None = None
        self._pause_read_at = float("-inf")
        self._pause_problem: str | None = None
        self.last: StatusReport | None = None

    async def collect(self) -> StatusReport:
        """Read everything once."""
        queues, relays = await asyncio.gather(
            self._read_queues(),
            asyncio.gather(*(fetch_relay_status(self._client, url) for url in self._urls)),
        )
        found, gaps = queues
        self.last = StatusReport(at=self._clock(), queues=found, relays=tuple(relays), gaps=gaps)
        return self.last

    async def _read_queues(self) -> tuple[tuple[QueueStatus, ...], tuple[str, ...]]:
        if self._settings.queue_url is None and self._settings.dlq_url is None:
            return (), ("no queue is configured: set RELAY_QUEUE_URL to show it",)
        try:
            await self._open_queues()
            counts = [await queue.attributes() for queue in self._queues]
        except AwsError as error:
            return (), (error.sentence,)
        await self._read_ages()
        await self._read_pause()
        statuses = tuple(
            QueueStatus(
                name=queue.name,
                visible=count.visible,
                in_flight=count.in_flight,
                delayed=count.delayed,
                oldest_age=self._ages.get(queue.name),
                pause=self._pause if self._is_main(queue) else None,
                retention=count.retention,
            )
            for queue, count in zip(self._queues, counts, strict=True)
        )
        problems = (self._ages_problem, self._pause_problem)
        return statuses, tuple(problem for problem in problems if problem)

    def _is_main(self, queue: Queue) -> bool:
        """Whether it is the queue that relays take messages from: the first, if it is named."""
        return self._settings.queue_url is not None and queue is self._queues[0]

    async def _read_pause(self) -> None:
        """Read whether the queue is paused, as often as relays do."""
        now = self._clock()
        if self._settings.queue_url is None or now - self._pause_read_at < CHECK_EVERY:
            return
        self._pause_read_at = now
        try:
            pause = read_pause(await self._queues[0].tags())
            self._pause, self._pause_problem = pause.sentence if pause else None, None
        except AwsError as error:
            self._pause_problem = f"whether the queue is paused is not known: {error.sentence}"

    async def _open_queues(self) -> None:
        """Open the queues. The redrive policy names the second one if the settings do not."""
        if self._queues:
            return
        opened, dlq = list[Queue](), self._settings.dlq_url
        if self._settings.queue_url is not None:
            opened.append(await self._open(self._settings.queue_url))
            policy = (await opened[0].attributes()).redrive
            dlq = dlq or (policy.target_arn if policy else None)
        if dlq is not None:
            opened.append(await self._open(dlq))
        self._queues = opened

    async def _open(self, reference: str) -> Queue:
        return await self._stack.enter_async_context(open_queue(await self._session(), reference))

    async def _read_ages(self) -> None:
        now = self._clock()
        if now - self._ages_read_at < AGE_INTERVAL:
            return
        self._ages_read_at = now
        names = [queue.name for queue in self._queues]
        try:
            self._ages, self._ages_problem = (
                await oldest_message_ages(await self._session(), names, now),
                None,
            )
        except AwsError as error:
            self._ages_problem = f"the ages of the oldest messages are not known: {error.sentence}"


@contextlib.asynccontextmanager
async def open_collector(settings: Settings, urls: Sequence[str]) -> AsyncIterator[StatusCollector]:
    """A collector that is usable inside the block."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                timeout=RELAY_TIMEOUT,
                trust_env=False,
                # Loading the CA certificates takes longer than a relay takes to answer.
                verify=any(url.startswith("https:") for url in urls),
            )
        )
        yield StatusCollector(settings, urls, stack, client)
