"""Last call: what the queue will soon delete is taken although the way is closed.

In hand it becomes a dead letter with a reason, in the queue it would be gone without one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from relay.aws.values import Received
from relay.message import Message
from relay.poller.intake import Way

LOOK_EVERY = 3_600.0
"""Seconds after which one message is taken to see how old the waiting ones are. The last tenth of
a queue's retention, in which a message can be saved, is many times as long."""


class LastCall:
    """A way that also accepts while what comes is about to be deleted.

    Args:
        way: the way on.
        expiring: whether the queue will soon delete a message.
    """

    def __init__(self, way: Way, expiring: Callable[[Message], bool]) -> None:
        self._way = way
        self._expiring = expiring
        self._late = False

    @property
    def accepting(self) -> bool:
        """Whether another message is welcome now."""
        return self._way.accepting or self._late

    async def wait_accepting(self) -> None:
        """Return when another message is welcome, be it to look at."""
        try:
            async with asyncio.timeout(LOOK_EVERY):
                await self._way.wait_accepting()
        except TimeoutError:
            self._late = True

    def came(self, batch: Sequence[Received]) -> None:
        """A receive has brought these."""
        self._late = not self._way.accepting and any(
            self._expiring(received.message) for received in batch
        )
