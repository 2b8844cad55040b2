"""The heavy work: it runs in child processes, never in the one that answers HTTP.

A recogniser that holds the interpreter for a minute would keep the application from answering the
orchestrator's other requests. A child that is killed for its memory takes only its own step with
it: the step is tried again, with new children.
"""

from __future__ import annotations

import asyncio
import math
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from sermons import embedding, media, recognition

P = ParamSpec("P")
T = TypeVar("T")


class Studio(Protocol):
    """What the functions need to have done."""

    async def measure(self, source: Path) -> float:
        """The length of a recording in seconds. Raises `NotAudio` for anything else."""

    async def transcode(self, source: Path, target: Path) -> int:
        """Write the stream of a recording into a directory; the number of its chunks."""

    async def recognise(self, source: Path, start: float, seconds: float) -> str:
        """What is said in a piece of a recording."""

    async def embed(self, text: str) -> bytes:
        """The vector of a text."""


class ProcessStudio:
    """Does the work in as many child processes as there are processors for it."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool = self._new_pool()

    def close(self) -> None:
        """End the children. Work that waits is dropped: its steps are tried again."""
        self._pool.shutdown(cancel_futures=True)

    def children(self) -> list[int]:
        """The process ids of the children that were started."""
        return [child.pid for child in multiprocessing.active_children() if child.pid is not None]

    async def measure(self, source: Path) -> float:
        """See `Studio`."""
        return await self._do(media.duration, source)

    async def transcode(self, source: Path, target: Path) -> int:
        """See `Studio`."""
        return await self._do(media.transcode, source, target)

    async def recognise(self, source: Path, start: float, seconds: float) -> str:
        """See `Studio`."""
        return await self._do(recognition.recognise, source, start, seconds)

    async def embed(self, text: str) -> bytes:
        """See `Studio`."""
        return await self._do(embedding.embed, text)

    async def _do(self, work: Callable[P, T], /, *arguments: P.args, **keywords: P.kwargs) -> T:
        pool = self._pool
        try:
            return await asyncio.wrap_future(pool.submit(work, *arguments, **keywords))
        except BrokenProcessPool:
            # Every step of the pool failed; the first to notice makes room for the next attempts.
            if pool is self._pool:
                self._pool = self._new_pool()
            raise

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._processes, multiprocessing.get_context("spawn"))


def pieces(seconds: float, length: float) -> list[float]:
    """Where the pieces of a recording start, each at most `length` seconds long."""
    return [number * length for number in range(max(1, math.ceil(seconds / length)))]
