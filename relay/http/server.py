"""An ASGI app on a socket of ours, in the caller's event loop and without signals of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, TypeAlias

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEEP_ALIVE = 120
"""Seconds; above nginx's 60, because the worker daemon posts a message again at once when an idle
connection closes under it."""


class _Server(uvicorn.Server):
    """uvicorn, which leaves signals to its caller and tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class CannotListen(OSError):
    """The address cannot be bound. `reason` says which and why, for a person."""

    def __init__(self, number: int | None, reason: str) -> None:
        super().__init__(number, reason)
        self.reason = reason


@contextlib.asynccontextmanager
async def serving(
    app: Callable[..., Any], *, host: str = "127.0.0.1", port: int = 0, grace: float = 5.0
) -> AsyncIterator[int]:
    """Serve the app and give the port; port 0 takes a free one.

    Leaving stops accepting, waits up to `grace` seconds for the answers under way, and closes.

    Raises:
        CannotListen: the address cannot be bound.
    """
    bound = _bound(host, port)
    server = _Server(_config(app, grace))
    task = asyncio.create_task(server.serve(sockets=[bound]), name=f"http server {host}:{port}")
    try:
        await _first(task, server.listening)
        yield bound.getsockname()[1]
    finally:
        server.should_exit = True
        try:
            await task
        finally:
            bound.close()


def _bound(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=2_048)
    except OSError as error:
        # The library appends the address, in its own notation.
        why = (error.strerror or str(error)).partition(" (while ")[0]
        raise CannotListen(error.errno, f"cannot listen on {host}:{port}: {why}") from error


def _config(app: Callable[..., Any], grace: float) -> uvicorn.Config:
    # httptools has no limit of its own on headers: a message's attributes come as headers and may
    # fill its whole megabyte.
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, round(grace)),
    )


async def _first(task: asyncio.Task[None], listening: asyncio.Event) -> None:
    """Return once it listens; raise what made it fail before."""
    waiting = asyncio.create_task(listening.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
            raise OSError("the HTTP server ended before it listened")
    finally:
        waiting.cancel()


Readiness: TypeAlias = Callable[[], tuple[bool, Mapping[str, Any]]]
"""Tells whether all is well, with the JSON object that says what is not."""


def health_routes(ready: Readiness) -> list[Route]:
    """The two endpoints. `/ready` answers 200 or 503, `/health` always 200.

    `/health` is shallow: a daemon or platform that acts on it must not do so because the relay
    holds or is halted.
    """

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readiness(_request: Request) -> Response:
        well, told = ready()
        return JSONResponse({"ready": well, **told}, status_code=200 if well else 503)

    return [
        Route("/health", health, methods=["GET"]),
        Route("/ready", readiness, methods=["GET"]),
    ]
