"""A `send` for a batcher, which records its batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.forwarding.virtual_time import now


class Sender:
    """Takes a second for each batch; the result of item 7 is `r7`."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.batches: list[list[int]] = []
        self.started: list[float] = []
        self.running = self.most_running = 0
        self.seconds = seconds

    async def __call__(self, items: Sequence[int]) -> list[str]:
        self.batches.append(list(items))
        self.started.append(now())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.running -= 1
        return [f"r{item}" for item in items]
