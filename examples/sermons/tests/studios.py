"""A studio whose results are known, for tests of what is around the heavy work."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import numpy as np

from sermons.embedding import SIZE
from sermons.media import NotAudio


class ScriptedStudio:
    """Answers at once with what it was told; counts what it was asked and how much at once."""

    def __init__(self, *, seconds: float = 4.0, failing: int = 0, takes: float = 0.0) -> None:
        self.seconds = seconds
        self.failing = failing
        self.calls: Counter[str] = Counter()
        self.most_at_once = 0
        self._takes = takes
        self._at_once = 0

    async def measure(self, source: Path) -> float:
        self.calls["measure"] += 1
        if not source.exists():  # noqa: ASYNC240 - as in the real one, but not in a child
            raise NotAudio(f"{source.name} is not audio")
        return self.seconds

    async def transcode(self, source: Path, target: Path) -> int:
        await self._work("transcode")
        return 2

    async def recognise(self, source: Path, start: float, seconds: float) -> str:
        await self._work(f"recognise {start:g}")
        return f"words at {start:g}"

    async def embed(self, text: str) -> bytes:
        await self._work("embed")
        vector = np.zeros(SIZE, dtype=np.float32)
        vector[len(text) % SIZE] = 1
        return vector.tobytes()

    async def _work(self, name: str) -> None:
        self.calls[name] += 1
        if self.failing:
            self.failing -= 1
            raise MemoryError("the child was killed")
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(self._takes)
        self._at_once -= 1
