"""An ASGI server in the caller's event loop, without signal handlers, and the health endpoints."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from relay.http.addresses import authority
from relay.http.listening import listening_sockets
from relay.http.open_files import BACKLOG, file_limit, server_connections
from relay.http.server_connection import ServerConnection
from relay.http.server_limits import ServerLimits

KEEP_ALIVE = 120
"""Seconds. Longer than nginx's 60, because the worker daemon posts a message again at once if an
idle connection is closed while it is being used."""


class _Server(uvicorn.Server):
    """uvicorn without signal handlers, and with an event for when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@contextlib.asynccontextmanager
async def serving(
    app: Callable[..., Any],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    grace: float = 5.0,
    limits: ServerLimits | None = None,
) -> AsyncIterator[int]:
    """Serve the app for the duration of the block and yield the port; 0 selects a free one.

    Without `limits`, the process's limit of open files limits the connections. At the end the
    server stops accepting, waits up to `grace` seconds for pending responses, and closes.

    Raises:
        CannotListen: the address cannot be bound.
    """
    bound = listening_sockets(host, port)
    server = _Server(_config(app, grace, limits or ServerLimits(server_connections(file_limit()))))
    task = asyncio.create_task(server.serve(sockets=bound), name=f"http server {host}:{port}")
    try:
        await _wait_until_listening(task, server.listening)
        yield bound[0].getsockname()[1]
    finally:
        server.should_exit = True
        try:
            await task
        finally:
            for one in bound:
                one.close()


def local_url(host: str, port: int) -> str:
    """The URL at which this machine reaches a server that listens on this host."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - of no listener
    return f"http://{authority(host, port)}"


def _config(app: Callable[..., Any], grace: float, limits: ServerLimits) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        # uvicorn calls it as it calls a protocol class.
        http=partial(ServerConnection, limits),  # type: ignore[arg-type]
        backlog=BACKLOG,
        # It counts the connection that sends the request, too.
        limit_concurrency=limits.connections + 1,
        interface="asgi3",  # what uvicorn guesses for a bound method is wrong
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


async def _wait_until_listening(task: asyncio.Task[None], listening: asyncio.Event) -> None:
    """Wait until the server listens, or raise its exception."""
    waiting = asyncio.create_task(listening.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
            raise OSError("the HTTP server ended before it listened")
    finally:
        waiting.cancel()


Readiness: TypeAlias = Callable[[], tuple[bool, Mapping[str, Any]]]
"""Returns whether the relay is ready, and a JSON object with the details."""


def health_routes(ready: Readiness, alive: Callable[[], bool] = lambda: True) -> list[Route]:
    """The endpoints `/ready` and `/health`, which answer 200 or 503; `/health` as `alive` says.

    `/health` is shallow, because a daemon or platform that acts on it must not do so while the
    relay holds requests or is halted.
    """

    async def health(_request: Request) -> Response:
        if alive():
            return JSONResponse({"status": "alive"})
        return JSONResponse({"status": "hanging"}, status_code=503)

    async def readiness(_request: Request) -> Response:
        is_ready, details = ready()
        return JSONResponse({"ready": is_ready, **details}, status_code=200 if is_ready else 503)

    return [
        Route("/health", health, methods=["GET"]),
        Route("/ready", readiness, methods=["GET"]),
    ]


def started_route(started: Callable[[], bool]) -> Route:
    """The endpoint `/started`: 503 until `started` holds. For load balancers and startup probes.

    `/ready` would be wrong for a balancer: what gets no requests cannot show that it works again.
    """

    async def answer(_request: Request) -> Response:
        has = started()
        return JSONResponse({"started": has}, status_code=200 if has else 503)

    return Route("/started", answer, methods=["GET"])
