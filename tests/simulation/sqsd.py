"""sqsd on virtual time: the local sqsd's own rules, calling an ASGI application directly."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from relay.local.clock import Clock
from relay.local.sqsd import Counters, SqsdOptions
from relay.local.sqsd.application import Connection, Silent, Target
from relay.local.sqsd.deliveries import Backlog, Deletes, Delivery
from relay.local.sqsd.queue import Pollers, Queue
from relay.local.sqsd.request import Received
from relay.local.sqsd.tasks import Failure, Tasks

App = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


class VirtualSqsd:
    """Posts the queue's messages to `application`; None refuses the connection."""

    def __init__(self, queue: Queue, options: SqsdOptions, clock: Clock) -> None:
        self.application: App | None = None
        self.counters = Counters()
        self.posts: list[tuple[float, str]] = []
        self._queue = queue
        self._options = options
        self._failure = Failure()
        self._tasks = Tasks(self._failure)
        deletes = Deletes(queue.delete, self.counters, clock=clock, tasks=self._tasks)
        target = _Direct(self, options.inactivity_timeout, clock)
        self._delivery = Delivery(queue, target, deletes, options, self.counters, clock)
        self._backlog = Backlog(
            self._carry, connections=options.http_connections, tasks=self._tasks
        )
        self._pollers = Pollers(
            self._receive,
            self._backlog.accept,
            most=options.pollers,
            connections=options.http_connections,
            backlog=options.waiting,
            tasks=self._tasks,
        )

    def start(self, stack: AsyncExitStack) -> None:
        """Run until the stack is closed."""
        self._pollers.start()
        stack.push_async_callback(self._stop)

    async def _stop(self) -> None:
        self._pollers.stop()
        self._tasks.cancel()
        await self._tasks.ended()
        self._failure.check()

    async def _receive(self, count: int) -> Sequence[Received]:
        received = await self._queue.receive(count, self._options.visibility_timeout)
        self.counters.received += len(received)
        return received

    async def _carry(self, message: Received) -> None:
        self.posts.append((asyncio.get_running_loop().time(), message.message_id))
        await self._delivery.deliver(message)
        self._pollers.left()


class _Direct(Target):
    """Calls the application instead of a socket."""

    def __init__(self, sqsd: VirtualSqsd, inactivity: float, clock: Clock) -> None:
        super().__init__(
            "http://relay", connect_timeout=5, inactivity_timeout=inactivity, clock=clock
        )
        self._sqsd = sqsd
        self._inactivity = inactivity
        self._time = clock

    async def connect(self) -> Connection:
        if self._sqsd.application is None:
            raise ConnectionRefusedError
        return Connection(self._time)

    async def post(self, connection: Connection, request: bytes) -> int:
        assert self._sqsd.application is not None
        try:
            async with asyncio.timeout(self._inactivity):
                return await _answer(self._sqsd.application, request)
        except TimeoutError:
            raise Silent from None


async def _answer(app: App, request: bytes) -> int:
    head, _, body = request.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    headers = [tuple(one.split(b": ", 1)) for one in lines]
    scope = {
        "type": "http",
        "method": "POST",
        "path": line.split()[1].decode(),
        "query_string": b"",
        "headers": [(name.lower(), value) for name, value in headers],
    }
    read, status = False, 0

    async def receive() -> MutableMapping[str, Any]:
        nonlocal read
        if read:
            await asyncio.Event().wait()
        read = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    await app(scope, receive, send)
    return status
