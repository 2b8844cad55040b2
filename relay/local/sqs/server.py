"""The server: the app on a loopback socket, in the caller's event loop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Self

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from relay.local.clock import Clock, SystemClock
from relay.local.sqs.account import Account
from relay.local.sqs.app import Scope, SqsApp
from relay.local.sqs.faults import Faults, FaultScript
from relay.local.sqs.queue import IN_FLIGHT_LIMIT, Queue

PORT = 9324  # where local SQS servers are looked for
REGION = "us-east-1"
ACCOUNT = "000000000000"
_KEEP_ALIVE = 75  # seconds an idle connection is kept; botocore keeps its own for longer than 5


class SqsServer:
    """An SQS of one's own, for any SDK: `async with SqsServer() as server: server.url`.

    `port` 0 takes a free one. Every signature is accepted. `faults` is asked about each request;
    what it does not mind, the script `server.faults` is asked about, which is there to be added to.
    Nothing is kept on disk. Leaving cuts every connection.
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
        in_flight_limit: int = IN_FLIGHT_LIMIT,
    ) -> None:
        self.account = Account(
            account, region, clock=clock or SystemClock(), in_flight_limit=in_flight_limit
        )
        self._address = (host, port)
        self._app = SqsApp(self.account, faults, self._cut)
        self._state = ServerState()
        self._listener: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where clients find it: the endpoint URL, without a slash at its end."""
        return self.account.url

    @property
    def queues(self) -> Mapping[str, Queue]:
        """Every queue by its name, to look into without a receive: `queues["main"].messages()`."""
        return self.account.queues

    @property
    def requests(self) -> Counter[str]:
        """How often each action was asked for, refused ones too."""
        return self._app.requests

    @property
    def faults(self) -> FaultScript:
        """The script of faults, empty at first; the same that `POST /_faults` appends to."""
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
        # uvicorn's server would handle signals and tick ten times a second; its protocol suffices.
        host, port = self._address
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: HttpToolsProtocol(config, self._state, {}), host, port, backlog=2_048
        )
        bound = self._listener.sockets[0].getsockname()[1]
        self.account.url = f"http://{host}:{bound}"
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
        """Close the connection of a request with no answer."""
        for connection in self._state.connections:
            if isinstance(connection, HttpToolsProtocol) and connection.client == scope["client"]:
                connection.transport.abort()
