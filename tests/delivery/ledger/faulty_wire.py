"""A proxy in front of a server: passes bytes on, hangs, or cuts connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal


@dataclass
class FaultyWire:
    """`mode` applies to each chunk of a request."""

    target: int
    mode: Literal["pass", "hang", "cut"] = "pass"
    port: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", self.target)
        answering = asyncio.create_task(_pump(back, writer))
        try:
            while data := await reader.read(65_536):
                if self.mode == "cut":
                    break
                if self.mode == "pass":
                    forth.write(data)
        finally:
            forth.close()
            writer.close()
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)


@contextlib.asynccontextmanager
async def in_front_of(port: int) -> AsyncIterator[FaultyWire]:
    wire = FaultyWire(port)
    server = await asyncio.start_server(wire.accept, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        for task in wire.tasks:
            task.cancel()
        await asyncio.gather(*wire.tasks, return_exceptions=True)
