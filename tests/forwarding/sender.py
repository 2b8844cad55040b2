"""A send for a batcher, which remembers its batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.forwarding.virtual_time import now


class Sender:
    """Takes a second for each batch and answers each item with itself."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.batches: list[list[int]] = []
        self.started: list[float] = []
        self.under_way = self.most_under_way = 0
        self.seconds = seconds

    async def __call__(self, items: Sequence[int]) -> list[str]:
        self.batches.append(list(items))
        self.started.append(now())
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.under_way -= 1
        return [f"r{item}" for item in items]
