"""The console's ASGI application: its pages, its static files, and the guard before them."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from relay.console.access import Access, Guard, Refused
from relay.console.rendering import Renderer

_STATIC = Path(__file__).with_name("static")


class Page(Protocol):
    """A part of the console."""

    def routes(self) -> Sequence[BaseRoute]:
        """Its routes. Those of forms are made by `Access.post`."""
        ...


def console_application(access: Access, renderer: Renderer, pages: Sequence[Page]) -> Guard:
    """The application with these pages."""
    routes: list[BaseRoute] = [Mount("/static", StaticFiles(directory=_STATIC), name="static")]
    for page in pages:
        routes += page.routes()
    if access.prefix:
        routes = [Mount(access.prefix, routes=routes)]
    app = Starlette(
        routes=routes,
        exception_handlers={Refused: _refused(renderer), HTTPException: _not_found(renderer)},
    )
    return Guard(app, access, renderer.refuse)


def _refused(renderer: Renderer) -> Any:
    def handle(request: Request, error: Refused) -> Response:
        return renderer.refuse(request, error)

    return handle


def _not_found(renderer: Renderer) -> Any:
    def handle(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        code = status.phrase.lower().replace(" ", "_")
        return renderer.refuse(request, Refused(status, code, "the console has no such page"))

    return handle
