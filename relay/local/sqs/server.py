"""Serves the app on a loopback socket, in the caller's event loop."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Mapping
from typing import Self

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from relay.local.clock import Clock, SystemClock
from relay.local.sqs.account import DEFAULTS, Account, Limits
from relay.local.sqs.app import Scope, SqsApp
from relay.local.sqs.faults import Faults, FaultScript
from relay.local.sqs.queue import Queue

PORT = 9324  # the customary port of local SQS servers
REGION = "us-east-1"
ACCOUNT = "000000000000"
_KEEP_ALIVE = 75  # seconds; uvicorn's default of 5 is shorter than botocore keeps connections


class SqsServer:
    """A local SQS for any SDK: `async with SqsServer() as server: server.url`.

    It speaks the JSON and the Query protocol. Port 0 means any free port. Every signature, and any
    account in a queue's URL, is accepted; the URLs it returns have the host that the client used.
    For each request, `faults` is called first; if it returns None, the script `server.faults`
    decides, to which tests add faults. With `tls`, the context of a server, it serves https.
    Nothing is kept on disk. Leaving closes every connection.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
        faults: Faults | None = None,
        region: str = REGION,
        account: str = ACCOUNT,
        limits: Limits = DEFAULTS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.account = Account(account, region, clock=clock or SystemClock(), limits=limits)
        self._address = (host, port)
        self._tls = tls
        self._app = SqsApp(self.account, faults, self._cut)
        self._state = ServerState()
        self._listener: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The endpoint URL, without a trailing slash."""
        return self.account.url

    @property
    def queues(self) -> Mapping[str, Queue]:
        """The queues by name; `queues["main"].messages()` lists messages without a receive."""
        return self.account.queues

    @property
    def requests(self) -> Counter[str]:
        """The number of requests by action, failed ones too."""
        return self._app.requests

    @property
    def faults(self) -> FaultScript:
        """The fault script, empty at first; `POST /_faults` appends to it too."""
        return self._app.script

    async def __aenter__(self) -> Self:
        config = Config(
            self._app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE,
        )
        config.load()
        # uvicorn's Server would handle signals and wake up ten times a second; we use its protocol.
        host, port = self._address
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: HttpToolsProtocol(config, self._state, {}),
            host,
            port,
            backlog=2_048,
            ssl=self._tls,
        )
        bound = self._listener.sockets[0].getsockname()[1]
        self.account.url = f"{'https' if self._tls else 'http'}://{host}:{bound}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listener is not None  # noqa: S101 - entered before it is left
        self._listener.close()
        await self._app.moves.close()
        for connection in tuple(self._state.connections):
            connection.transport.abort()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks)
        await self._listener.wait_closed()

    def _cut(self, scope: Scope) -> None:
        """Close the connection of a request without a response."""
        for connection in self._state.connections:
            if isinstance(connection, HttpToolsProtocol) and connection.client == scope["client"]:
                connection.transport.abort()
