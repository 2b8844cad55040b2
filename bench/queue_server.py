"""The local SQS as a server process: commands fill queues at once and read counts and times.

    python -m bench.queue_server [DIRECTORY]

With a directory that has the files of `bench.authority` it serves https.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from typing import Any

from bench.authority import handshakes, server_context
from bench.payload import bodies, dead_letter
from bench.server_process import serve_commands
from relay.local.sqs import SqsServer
from relay.local.sqs.parameters import AttributeValue, Draft
from relay.local.sqs.queue import Queue
from relay.local.sqs.stored import Stored
from relay.local.sqs.validation import accept

POLL = 0.002
"""Seconds between checks whether a queue is empty."""

KEPT = 50_000
"""The most messages whose time in flight is kept."""

VISIBILITY = 60


class Queues:
    """The commands on queues."""

    def __init__(self, server: SqsServer) -> None:
        self._server = server
        self._times: deque[float] = deque(maxlen=KEPT)

    def create_queue(self, name: str, dead: str | None = None) -> str:
        """Create a queue, with a dead-letter queue if it is named; returns the URL."""
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
        """Add this many messages at once."""
        queue = self._server.queues[name]
        now = time.time()
        for body in bodies(count, size, poison):
            queue.add(accept(Draft(message_body=body), queue.attributes, now))

    def fill_dead(self, name: str, count: int, source: str) -> None:
        """Add this many dead letters of the source queue at once."""
        queue = self._server.queues[name]
        now = time.time()
        for number in range(count):
            dead = dead_letter(number, source)
            attributes = {
                key: AttributeValue(data_type=one.data_type, string_value=str(one.value))
                for key, one in dead.attributes.items()
            }
            draft = Draft(message_body=dead.body, message_attributes=attributes)
            queue.add(accept(draft, queue.attributes, now))

    def counts(self, name: str) -> int:
        """The number of messages in the queue, visible or in flight."""
        return sum(self._server.queues[name].counts())

    def delete_queue(self, name: str) -> None:
        """Delete the queue with its messages."""
        self._server.account.delete(self._server.queues[name])

    async def wait_until_empty(self, name: str, within: float) -> bool:
        """Wait until no message is left, neither visible nor in flight; False if it is too late."""
        queue = self._server.queues[name]
        deadline = time.monotonic() + within
        while sum(queue.counts()) and time.monotonic() < deadline:  # noqa: ASYNC110 - a queue has no event for it
            await asyncio.sleep(POLL)
        return not sum(queue.counts())

    async def send_one(self, name: str, size: int) -> float:
        """Add one message and wait until it is deleted; returns when it was received."""
        queue = self._server.queues[name]
        body = next(bodies(1, size))
        stored = accept(Draft(message_body=body), queue.attributes, time.time())
        queue.add(stored)
        await self.wait_until_empty(name, 30)
        return stored.received_at

    def requests(self) -> dict[str, int]:
        """The number of requests by action since the start."""
        return dict(self._server.requests)

    def in_flight(self, name: str) -> int:
        """The number of messages in flight."""
        return self._server.queues[name].counts()[1]

    def take_times(self) -> list[float]:
        """The seconds in flight of each message that was deleted since the last call."""
        taken = list(self._times)
        self._times.clear()
        return taken

    def _watch(self, queue: Queue) -> None:
        forget = queue.forget

        def watched(stored: Stored) -> None:
            self._times.append(time.time() - stored.received_at)
            forget(stored)

        queue.forget = watched  # type: ignore[method-assign]  # the queue has no hook for deletes


async def main() -> None:
    """Serve until stdin closes."""
    tls = server_context(sys.argv[1]) if sys.argv[1:] else None
    async with SqsServer(tls=tls) as server:
        queues = Queues(server)
        commands: dict[str, Any] = {
            name: getattr(queues, name)
            for name in (
                *("create_queue", "delete_queue", "fill", "fill_dead", "counts"),
                *("wait_until_empty", "send_one"),
                *("requests", "in_flight", "take_times"),
            )
        } | {"handshakes": lambda: handshakes(tls)}
        await serve_commands(commands, server.url)


if __name__ == "__main__":
    asyncio.run(main())
