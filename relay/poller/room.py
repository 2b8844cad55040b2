"""Room in hand: a place for each message is taken before it is asked for."""

from __future__ import annotations

import asyncio


class Room:
    """Bounds what is in hand by count and by bytes.

    A place is taken as if its message were the largest that the queue lets through, and corrected
    once the message is known, so that the bound on bytes holds before anything has arrived.

    Args:
        count: the most messages in hand.
        size: the most bytes in hand; one message is always let in.
        largest: bytes of the largest message that can arrive.
    """

    def __init__(self, count: int, size: int, largest: int) -> None:
        self._count = count
        self._size = size
        self._largest = largest
        self._taken = 0
        self._bytes = 0
        self._waiting: list[asyncio.Future[None]] = []
        # A receive for one message costs as much as one for ten: wait for a few free places, but
        # never leave more than a fiftieth of them idle for it.
        self._worthwhile = min(10, max(1, count // 50))

    @property
    def taken(self) -> int:
        """Places taken: messages in hand and those that were asked for."""
        return self._taken

    def take(self, most: int) -> int:
        """Take up to `most` places now; 0 where it is not worth asking yet."""
        places = min(most, self._count - self._taken)
        if places < min(self._worthwhile, most):
            return 0
        fitting = (self._size - self._bytes) // self._largest
        if fitting < 1 and self._taken == 0:
            fitting = 1
        places = min(places, fitting)
        if places < 1:
            return 0
        self._taken += places
        self._bytes += places * self._largest
        return places

    def correct(self, taken: int, sizes: list[int]) -> None:
        """Of `taken` places only as many are needed as there are sizes, each so many bytes."""
        self._taken -= taken - len(sizes)
        self._bytes -= taken * self._largest - sum(sizes)
        self._wake()

    def give(self, size: int) -> None:
        """Give back the place of one message of this size."""
        self._taken -= 1
        self._bytes -= size
        self._wake()

    async def freed(self) -> None:
        """Return when room was given back."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    def _wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()
