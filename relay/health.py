"""`GET /health` and `GET /ready`: whether the process lives, and whether events flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

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
