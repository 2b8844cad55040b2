"""Sends an audit's requests within bounds: so many at once, so many a second, few retries."""

from __future__ import annotations

import asyncio
import random as chance
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from relay.destinations.http_errors import retry_after
from relay.destinations.inngest.answers import Answer
from relay.dlq.safeguards import RateLimit
from relay.forwarding.circuit_breaker import Backoff
from relay.model.destination import Unavailable
from relay.ops.inngest_api import Queries

CONCURRENCY = 8
"""Requests at once. A self-hosted server answers them from the one database that it also writes."""

RATE = 50.0
"""Requests a second."""

ATTEMPTS = 5
LONGEST_WAIT = 60.0
"""Seconds that a server can ask to wait before the next attempt."""

PAUSE = Backoff(0.5, 10.0)
"""Between attempts of one request."""

_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600)} - {HTTPStatus.NOT_IMPLEMENTED})


class BoundedRequests:
    """Sends requests through other queries, within bounds.

    Args:
        queries: sends the requests.
        limit: delays them.
        concurrency: the most at once.
        sleep: waits between two attempts.
        random: jitter, 0 to 1.

    `count` is the number of requests sent so far, attempts included.
    """

    def __init__(
        self,
        queries: Queries,
        limit: RateLimit,
        *,
        concurrency: int = CONCURRENCY,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self.api_v2 = queries.api_v2
        self.concurrency = concurrency
        self.count = 0
        self._queries = queries
        self._limit = limit
        self._slots = asyncio.Semaphore(concurrency)
        self._sleep = sleep
        self._random = random

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """GET a path; repeated while the server is busy or does not answer.

        Raises:
            Unavailable: it still does not answer.
        """
        async with self._slots:
            for attempt in range(1, ATTEMPTS):
                pause = PAUSE.delay(attempt, self._random)
                try:
                    answer = await self._once(path, query)
                except Unavailable as error:
                    if error.setting is not None and error.proven:
                        raise
                else:
                    if answer.status not in _BUSY:
                        return answer
                    asked = retry_after(answer.headers.get("retry-after"), time.time())
                    pause = max(pause, min(asked or 0.0, LONGEST_WAIT))
                await self._sleep(pause)
            return await self._once(path, query)

    async def _once(self, path: str, query: Mapping[str, str] | None) -> Answer:
        await self._limit.wait(1)
        self.count += 1
        return await self._queries.get(path, query)
