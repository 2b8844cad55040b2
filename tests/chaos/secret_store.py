"""Secrets Manager with one secret, which somebody may rotate."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator

from aiohttp import web


class SecretStore:
    """Answers every `GetSecretValue` with `value`."""

    def __init__(self, value: str) -> None:
        self.value = value
        self.asked = 0
        self.url = ""

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[SecretStore]:
        """Listen for as long as the block runs."""
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
        self.asked += 1
        body = json.dumps({"Name": "relay/key", "SecretString": self.value, "VersionId": "1"})
        return web.Response(text=body, content_type="application/x-amz-json-1.1")
