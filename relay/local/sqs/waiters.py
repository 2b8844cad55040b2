"""Long polls that wait for a queue, woken one at a time in the order in which they came."""

from __future__ import annotations

import asyncio

from relay.local.clock import Clock


class Waiters:
    """Who waits, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def wake(self) -> None:
        """Wake the first; it looks at the queue, and wakes the next while there is more."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
                return

    def wake_all(self) -> None:
        """Wake everybody: the queue is gone."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, clock: Clock, seconds: float) -> None:
        """Return when woken, or after `seconds`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        alarm = asyncio.ensure_future(clock.sleep(seconds))
        self._waiting[waiter] = None
        try:
            await asyncio.wait({waiter, alarm}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if waiter.done():
                del self._waiting[waiter]
                self.wake()  # the call was for whoever can take the message
            raise
        finally:
            self._waiting.pop(waiter, None)
            alarm.cancel()
