"""An event API that does nothing but answer as Inngest's does, after a latency, and count.

Everybody under test posts here. It costs little on purpose: it shares a CPU with the SQS.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from bench.payload import REFUSED
from bench.server_process import obey

_HEAD = b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
_WORDS = {200: b"OK", 400: b"Bad Request"}
_encode = msgspec.json.Encoder().encode


class _Named(msgspec.Struct):
    name: str = ""


_read = msgspec.json.Decoder(list[_Named] | _Named).decode


class Sink:
    """What was posted so far; `latency` seconds pass before each answer."""

    def __init__(self) -> None:
        self.latency = 0.0
        self.arrivals: list[float] = []
        self._seen: Counter[str] = Counter()
        self._id = "01BENCH" + "0" * 19

    def answer(self, body: bytes) -> bytes:
        """Count a request and say what a real server would."""
        found = _read(body)
        events = found if isinstance(found, list) else [found]
        self._seen["posts"] += 1
        self._seen["bytes"] += len(body)
        bad = next((at for at, event in enumerate(events) if event.name == REFUSED), len(events))
        self._seen["events"] += bad
        if bad == len(events):
            return _written(200, {"ids": [self._id] * len(events), "status": 200})
        error = "event name is reserved for internal use: inngest/"
        return _written(400, {"ids": [self._id] * bad or [""], "status": 400, "error": error})

    def seen(self) -> dict[str, int]:
        """Posts, events and bytes since the start."""
        return dict(self._seen)

    def wait(self, seconds: float) -> None:
        """Change the latency."""
        self.latency = seconds

    def later(self, answer: Callable[[], None]) -> None:
        """Have a request answered when it is time."""
        if self.latency:
            asyncio.get_running_loop().call_later(self.latency, answer)
        else:
            answer()

    def arrived(self) -> list[float]:
        """When the first byte of each request came since the last call, seconds since the epoch."""
        taken, self.arrivals = self.arrivals, []
        return taken


def _written(status: int, value: dict[str, Any]) -> bytes:
    body = _encode(value)
    return _HEAD % (status, _WORDS[status], len(body), body)


class Connection(asyncio.Protocol):
    """One client: a request after the other, each with a Content-Length or in chunks."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        del exc
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Collect a request and answer it."""
        if not self._buffer:
            self._since = time.time()
        self._buffer += data
        head, end, _ = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = _length(head.lower())
        start = len(head) + len(end)
        if len(self._buffer) < start + length:
            return
        body = bytes(self._buffer[start : start + length])
        del self._buffer[: start + length]
        self._sink.arrivals.append(self._since)
        answer = self._sink.answer(body)
        self._sink.later(partial(self._write, answer))

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
    server = await loop.create_server(lambda: Connection(sink), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    orders: dict[str, Callable[..., Any]] = {
        "seen": sink.seen,
        "wait": sink.wait,
        "arrived": sink.arrived,
    }
    await obey(orders, f"http://127.0.0.1:{port}")


if __name__ == "__main__":
    asyncio.run(main())
