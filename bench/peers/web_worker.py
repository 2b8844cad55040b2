"""A typical worker behind sqsd: a web app that makes one POST per message."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """One HTTP client for all requests."""
    async with httpx.AsyncClient() as client:
        app.state.client = client
        yield


async def work(request: Request) -> Response:
    """Forward the message; only a success deletes it."""
    response = await request.app.state.client.post(
        os.environ["BENCH_URL"],
        content=await request.body(),
        headers={"content-type": "application/json"},
    )
    return Response(status_code=200 if response.is_success else 500)


async def health(_request: Request) -> Response:
    """Always healthy."""
    return Response()


app = Starlette(
    routes=[Route("/health", health), Route("/", work, methods=["POST"])], lifespan=lifespan
)

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False, log_level="warning")
