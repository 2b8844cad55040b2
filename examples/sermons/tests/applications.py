"""Applications for tests, served over HTTP from a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import fastapi
import inngest
import inngest.fast_api
import uvicorn


@contextmanager
def served(
    client: inngest.Inngest, functions: Sequence[inngest.Function[Any]], port: int = 0
) -> Iterator[str]:
    """The address of an application with these functions; port 0 is any free one."""
    web = fastapi.FastAPI(openapi_url=None)
    inngest.fast_api.serve(web, client, list(functions))
    config = uvicorn.Config(web, host="127.0.0.1", port=port, log_level="error")
    server = uvicorn.Server(config)
    started = threading.Event()
    startup = server.startup

    async def announced_startup(sockets: Any = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = announced_startup  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert started.wait(30), "the application did not start"
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
