"""How many receives are under way: one when idle, many when busy, none without room."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from relay.local.sqsd.options import MOST_A_RECEIVE
from relay.local.sqsd.request import Received
from relay.local.sqsd.tasks import Tasks

REFILL = 0.2
"""The part of the backlog that must be free before it is filled again (2.x, quick application)."""


class Pollers:
    """Starts receives as messages leave. Never more are in hand than `connections + backlog`.

    A full answer allows one poller more, up to `most`; an empty one sends all but one home.

    Args:
        receive: one long poll for at most so many messages.
        accept: takes each message that was received.
        most: the most receives at once.
        connections: messages that can be posted at once.
        backlog: messages that may wait for a connection.
        tasks: where the receives run.
    """

    def __init__(
        self,
        receive: Callable[[int], Awaitable[Sequence[Received]]],
        accept: Callable[[Received], None],
        *,
        most: int,
        connections: int,
        backlog: int,
        tasks: Tasks,
    ) -> None:
        self._receive = receive
        self._accept = accept
        self._most = most
        self._room = connections + backlog
        self._threshold = max(1, int(backlog * REFILL))
        self._tasks = tasks
        self._allowed = 1
        self._polling = 0
        self._stopped = False

    def start(self) -> None:
        """Begin to receive."""
        self._refill()

    def stop(self) -> None:
        """Begin no receive any more."""
        self._stopped = True

    def left(self) -> None:
        """A message that was accepted is no longer in hand."""
        self._room += 1
        self._refill()

    def _refill(self) -> None:
        while not self._stopped and self._polling < self._allowed and self._room >= self._threshold:
            count = min(self._room, MOST_A_RECEIVE)
            self._room -= count
            self._polling += 1
            self._tasks.start(self._poll(count))

    async def _poll(self, count: int) -> None:
        received: Sequence[Received] = ()
        try:
            received = await self._receive(count)
        finally:
            self._polling -= 1
            self._room += count - len(received)
        self._allowed = self._next_allowed(len(received), count)
        for message in received:
            self._accept(message)
        self._refill()

    def _next_allowed(self, received: int, asked: int) -> int:
        if received == 0:
            return 1
        return min(self._allowed + 1, self._most) if received == asked else self._allowed
