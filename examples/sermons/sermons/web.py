"""The application over HTTP: the page, the streams, and the functions for Inngest to call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import fastapi
import inngest.fast_api
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from fastapi.templating import Jinja2Templates

from sermons.catalog import Catalog
from sermons.functions import APP, Options, Pipeline
from sermons.media import PLAYLIST, WHOLE
from sermons.studio import ProcessStudio

_TYPES = {".m3u8": "application/vnd.apple.mpegurl", ".m4s": "audio/mp4", ".mp4": "audio/mp4"}
_HEADERS = {"Content-Security-Policy": "default-src 'self'; style-src 'unsafe-inline'"}
_REFRESH = 2


def application(data: Path, options: Options) -> fastapi.FastAPI:
    """Build the application. Inngest's address and keys come from the SDK's own variables.

    Args:
        data: the directory with the database, the uploaded files and the streams.
        options: of the functions.
    """
    (data / "bucket").mkdir(parents=True, exist_ok=True)
    catalog, studio = Catalog(data / "sermons.sqlite"), ProcessStudio(options.processors)
    client = inngest.Inngest(app_id=APP)
    pipeline = Pipeline(client, catalog, studio, data, options)

    @asynccontextmanager
    async def lifespan(_: fastapi.FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.to_thread(studio.close)
            catalog.close()

    web = fastapi.FastAPI(lifespan=lifespan, openapi_url=None)
    inngest.fast_api.serve(web, client, pipeline.functions())
    _add_pages(web, catalog, studio, pipeline)
    return web


def _add_pages(
    web: fastapi.FastAPI, catalog: Catalog, studio: ProcessStudio, pipeline: Pipeline
) -> None:
    templates = Jinja2Templates(Path(__file__).parent / "templates")

    @web.get("/health")
    async def health() -> Response:
        return Response("ok")

    @web.get("/")
    async def index(request: fastapi.Request, q: str = "") -> HTMLResponse:
        found = catalog.search(await studio.embed(q)) if q.strip() else []
        sermons = catalog.sermons()
        waiting = any(sermon.state not in ("announced", "failed") for sermon in sermons)
        context = {
            "found": found,
            "question": q,
            "refresh": _REFRESH if waiting and not q else None,
            "sermons": sermons,
        }
        return templates.TemplateResponse(request, "index.html", context, headers=_HEADERS)

    @web.get("/sermons/{sermon_id}")
    async def one(request: fastapi.Request, sermon_id: str) -> HTMLResponse:
        sermon = catalog.get(sermon_id)
        if sermon is None:
            raise fastapi.HTTPException(404, "there is no such sermon")
        playable = {"sermon": sermon, "playlist": PLAYLIST, "whole": WHOLE}
        return templates.TemplateResponse(request, "sermon.html", playable, headers=_HEADERS)

    @web.get("/streams/{sermon_id}/{name}")
    async def stream(sermon_id: str, name: str) -> FileResponse:
        sermon = catalog.get(sermon_id)
        path = None if sermon is None else pipeline.stream(sermon.id, sermon.version) / name
        if path is None or path.name != name or not path.is_file():
            raise fastapi.HTTPException(404, "there is no such stream")
        return FileResponse(path, media_type=_TYPES.get(path.suffix))

    @web.get("/api/search")
    async def search(q: str) -> JSONResponse:
        found = catalog.search(await studio.embed(q))
        return JSONResponse(
            [{"id": sermon.id, "score": round(score, 3)} for score, sermon in found]
        )
