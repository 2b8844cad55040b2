"""An S3 emulator: whole objects that are written and read, with an outage."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

MEGABYTES = 16 * 1_048_576
_UNAVAILABLE = (
    "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
_MISSING = "<Error><Code>NoSuchKey</Code><Message>It does not exist.</Message></Error>"


class ObjectStore:
    """Objects by bucket and key. Every bucket exists. While not `available` it answers 503."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.available = True
        self.url = ""

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[ObjectStore]:
        """Listen while the block runs."""
        app = web.Application(client_max_size=MEGABYTES)
        app.router.add_route("*", "/{bucket}/{key:.+}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        place = request.match_info["bucket"], request.match_info["key"]
        body = await request.read()
        if not self.available:
            return web.Response(status=503, text=_UNAVAILABLE, content_type="application/xml")
        if request.method == "PUT":
            self.objects[place] = body
            return web.Response()
        found = self.objects.get(place)
        if found is None:
            return web.Response(status=404, text=_MISSING, content_type="application/xml")
        return web.Response(body=found)
