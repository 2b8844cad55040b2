"""The embedded SQS in a process of its own, which is filled at a stroke and tells what it saw."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

from bench.payload import bodies
from bench.server_process import obey
from relay.local.sqs import SqsServer
from relay.local.sqs.parameters import Draft
from relay.local.sqs.queue import Queue
from relay.local.sqs.stored import Stored
from relay.local.sqs.validation import accept

LOOK = 0.002
"""Seconds between looks whether a queue is empty."""

KEPT = 50_000
"""Messages of whom is remembered how long they were in hand."""

VISIBILITY = 60


class Shop:
    """Queues that are filled and watched."""

    def __init__(self, server: SqsServer) -> None:
        self._server = server
        self._held: deque[float] = deque(maxlen=KEPT)

    def queue(self, name: str, dead: str | None = None) -> str:
        """Make a queue, with a dead-letter queue if one is named; its URL."""
        account = self._server.account
        wanted = {"VisibilityTimeout": str(VISIBILITY)}
        if dead is not None:
            target = account.create(dead, {}, {})
            policy = f'{{"deadLetterTargetArn":"{target.arn}","maxReceiveCount":1000}}'
            wanted["RedrivePolicy"] = policy
        queue = account.create(name, wanted, {})
        self._watch(queue)
        return account.url_of(queue)

    def fill(self, name: str, count: int, size: int, poison: float = 0.0) -> None:
        """Put so many messages in at once."""
        queue = self._server.queues[name]
        now = time.time()
        for body in bodies(count, size, poison):
            queue.add(accept(Draft(message_body=body), queue.attributes, now))

    async def emptied(self, name: str, within: float) -> bool:
        """Whether nothing is left in the queue in time, neither visible nor in flight."""
        queue = self._server.queues[name]
        deadline = time.monotonic() + within
        while sum(queue.counts()) and time.monotonic() < deadline:  # noqa: ASYNC110 - a queue announces nothing
            await asyncio.sleep(LOOK)
        return not sum(queue.counts())

    async def one(self, name: str, size: int) -> float:
        """Put one message in, wait until it is gone; when it was handed out."""
        queue = self._server.queues[name]
        body = next(bodies(1, size))
        stored = accept(Draft(message_body=body), queue.attributes, time.time())
        queue.add(stored)
        await self.emptied(name, 30)
        return stored.received_at

    def seen(self) -> dict[str, int]:
        """How often each action was asked for, since the start."""
        return dict(self._server.requests)

    def left(self, name: str) -> int:
        """How many messages are in a queue."""
        return sum(self._server.queues[name].counts())

    def held_now(self, name: str) -> int:
        """How many messages of a queue are in somebody's hand."""
        return self._server.queues[name].counts()[1]

    def held(self) -> list[float]:
        """For how long each message was in hand that was deleted since the last call, seconds."""
        taken = list(self._held)
        self._held.clear()
        return taken

    def _watch(self, queue: Queue) -> None:
        forget = queue.forget

        def watched(stored: Stored) -> None:
            self._held.append(time.time() - stored.received_at)
            forget(stored)

        queue.forget = watched  # type: ignore[method-assign]  # the server has no hook for it


async def main() -> None:
    """Serve until stdin closes."""
    async with SqsServer() as server:
        shop = Shop(server)
        orders: dict[str, Any] = {
            name: getattr(shop, name)
            for name in ("queue", "fill", "emptied", "one", "seen", "left", "held_now", "held")
        }
        await obey(orders, server.url)


if __name__ == "__main__":
    asyncio.run(main())
