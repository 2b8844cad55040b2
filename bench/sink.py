"""The event API of the benchmark: answers as Inngest's does, after a latency, and counts.

    python -m bench.sink [DIRECTORY]

All contestants post here. It must cost little, as it shares a CPU with the SQS. With a directory
that has the files of `bench.authority` it serves https.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from bench.authority import HOST, handshakes, server_context
from bench.payload import REFUSED
from bench.server_process import serve_commands

_HEAD = b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
_REASONS = {200: b"OK", 400: b"Bad Request"}
_encode = msgspec.json.Encoder().encode


class _Named(msgspec.Struct):
    name: str = ""


_read = msgspec.json.Decoder(list[_Named] | _Named).decode


class Sink:
    """Counts what is posted; waits `latency` seconds before each response."""

    def __init__(self) -> None:
        self.latency = 0.0
        self.arrivals: list[float] = []
        self._counts: Counter[str] = Counter()
        self._id = "01BENCH" + "0" * 19

    def answer(self, body: bytes) -> bytes:
        """Count a request and return the response of a real server."""
        found = _read(body)
        events = found if isinstance(found, list) else [found]
        self._counts["posts"] += 1
        self._counts["bytes"] += len(body)
        bad = next((at for at, event in enumerate(events) if event.name == REFUSED), len(events))
        self._counts["events"] += bad
        if bad == len(events):
            return _response(200, {"ids": [self._id] * len(events), "status": 200})
        error = "event name is reserved for internal use: inngest/"
        return _response(400, {"ids": [self._id] * bad or [""], "status": 400, "error": error})

    def counts(self) -> dict[str, int]:
        """POSTs, events and bytes since the start."""
        return dict(self._counts)

    def set_latency(self, seconds: float) -> None:
        """Change the latency."""
        self.latency = seconds

    def schedule(self, answer: Callable[[], None]) -> None:
        """Call `answer` after the latency."""
        if self.latency:
            asyncio.get_running_loop().call_later(self.latency, answer)
        else:
            answer()

    def take_arrivals(self) -> list[float]:
        """When the first byte of each request since the last call arrived, in epoch seconds."""
        taken, self.arrivals = self.arrivals, []
        return taken


def _response(status: int, value: dict[str, Any]) -> bytes:
    body = _encode(value)
    return _HEAD % (status, _REASONS[status], len(body), body)


class Connection(asyncio.Protocol):
    """A connection of a contestant: one request at a time, with a Content-Length."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = bytearray()
        self._start = 0
        self._end = 0
        self._transport: asyncio.Transport | None = None
        self._since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone: drop later responses."""
        del exc
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Collect a request and answer it."""
        if not self._buffer:
            self._since = time.time()
        self._buffer += data
        if not self._end and not self._read_head():
            return
        if len(self._buffer) < self._end:
            return
        body = bytes(memoryview(self._buffer)[self._start : self._end])
        del self._buffer[: self._end]
        self._end = 0
        self._sink.arrivals.append(self._since)
        answer = self._sink.answer(body)
        self._sink.schedule(partial(self._write, answer))

    def _read_head(self) -> bool:
        """Find where the body starts and ends; False if the head has not arrived completely."""
        at = self._buffer.find(b"\r\n\r\n")
        if at < 0:
            return False
        self._start = at + 4
        self._end = self._start + _length(self._buffer[:at].lower())
        return True

    def _write(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)


def _length(head: bytes | bytearray) -> int:
    _, _, rest = head.partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0])


async def main() -> None:
    """Serve until stdin closes."""
    sink = Sink()
    loop = asyncio.get_running_loop()
    tls = server_context(sys.argv[1]) if sys.argv[1:] else None
    server = await loop.create_server(lambda: Connection(sink), HOST, 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    commands: dict[str, Callable[..., Any]] = {
        "counts": sink.counts,
        "set_latency": sink.set_latency,
        "take_arrivals": sink.take_arrivals,
        "handshakes": lambda: handshakes(tls),
    }
    await serve_commands(commands, f"{'https' if tls else 'http'}://{HOST}:{port}")


if __name__ == "__main__":
    asyncio.run(main())
