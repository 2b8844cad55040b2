"""A Secrets Manager emulator with one secret, which a test can rotate."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator

from aiohttp import web


class SecretStore:
    """Answers every `GetSecretValue` with `value`."""

    def __init__(self, value: str) -> None:
        self.value = value
        self.requests = 0
        self.url = ""

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[SecretStore]:
        """Listen while the block runs."""
        app = web.Application()
        app.router.add_post("/", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, _request: web.Request) -> web.Response:
        self.requests += 1
        body = json.dumps({"Name": "relay/key", "SecretString": self.value, "VersionId": "1"})
        return web.Response(text=body, content_type="application/x-amz-json-1.1")
