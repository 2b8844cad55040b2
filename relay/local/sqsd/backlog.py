"""Messages in hand: as many as there are connections are being delivered, the others wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

from relay.local.sqsd.request import Received
from relay.local.sqsd.tasks import Tasks


class Backlog:
    """Delivers messages in the order in which they came, at most `connections` at once.

    How many may wait is not its affair: nothing is received without room for it.

    Args:
        deliver: takes one message to its end.
        connections: how many may be delivered at once.
        tasks: where the deliveries run.
    """

    def __init__(
        self, deliver: Callable[[Received], Awaitable[None]], *, connections: int, tasks: Tasks
    ) -> None:
        self._deliver = deliver
        self._connections = connections
        self._tasks = tasks
        self._busy = 0
        self._waiting: deque[Received] = deque()

    def __len__(self) -> int:
        """How many are in hand."""
        return self._busy + len(self._waiting)

    def accept(self, message: Received) -> None:
        """Deliver it, at once or when its turn comes."""
        if self._busy < self._connections:
            self._busy += 1
            self._tasks.start(self._serve(message))
        else:
            self._waiting.append(message)

    def forget(self) -> None:
        """Drop those that wait: they come again when their visibility lapses."""
        self._waiting.clear()

    async def _serve(self, message: Received) -> None:
        """Deliver this one and then, by the same slot, those that wait."""
        try:
            await self._deliver(message)
            while self._waiting:
                await self._deliver(self._waiting.popleft())
        finally:
            self._busy -= 1
