"""A gateway on a socket in front of an embedded SQS, for one test."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import httpx

from relay.aws.session import Session, open_session
from relay.gateway.app import Gateway
from relay.gateway.keys import FixedKeys, Key
from relay.http.server import serving
from relay.http.server_limits import ServerLimits
from relay.local.sqs import SqsServer
from relay.local.sqs.faults import Faults
from relay.local.sqs.stored import Stored
from relay.model.facts import EventsAccepted, EventsRefused, Fact
from relay.publishing.opening import PublisherOptions, open_publisher

KEY = "k3y-of-web"
PATIENCE = 20.0


@dataclass
class Running:
    """The gateway's address, its app, the SQS server, and the facts so far."""

    url: str
    port: int
    app: Gateway
    sqs: SqsServer
    queue: str
    http: httpx.AsyncClient
    facts: list[Fact] = field(default_factory=list)

    async def post(self, body: Any, key: str = KEY, **headers: str) -> httpx.Response:
        """Post this body, or the JSON of it."""
        content = body if isinstance(body, bytes | str) else json.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(f"/e/{key}", content=content, headers=named)

    @property
    def messages(self) -> list[Stored]:
        """The messages in the queue."""
        return list(self.sqs.queues[self.queue].messages())

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events in the queue."""
        bodies = (json.loads(message.body) for message in self.messages)
        return [event for body in bodies for event in (body if isinstance(body, list) else [body])]

    @property
    def ids(self) -> list[str]:
        """Their ids."""
        return [event["id"] for event in self.events]

    @property
    def codes(self) -> list[str]:
        """The codes of the requests that were refused."""
        return [fact.code for fact in self.facts if isinstance(fact, EventsRefused)]

    @property
    def accepted(self) -> int:
        """The events of the requests that were accepted."""
        return sum(fact.events for fact in self.facts if isinstance(fact, EventsAccepted))


def ready() -> tuple[bool, dict[str, Any]]:
    return True, {}


@asynccontextmanager
async def embedded_sqs(
    *queues: str, faults: Faults | None = None, **attributes: str
) -> AsyncIterator[tuple[SqsServer, Session]]:
    """An SQS with these queues, which all clients of the process find, and a session."""
    async with SqsServer(port=0, faults=faults) as server:
        variables = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL_SQS": server.url,
        }
        with mock.patch.dict(os.environ, variables):
            async with open_session() as session:
                client = await session.client("sqs")
                for name in queues:
                    fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
                    await client.create_queue(QueueName=name, Attributes={**attributes, **fifo})
                yield server, session


@asynccontextmanager
async def running_gateway(
    *,
    queue: str = "orders",
    keys: tuple[tuple[str, Key], ...] = ((KEY, Key(name="web")),),
    options: PublisherOptions | None = None,
    attributes: dict[str, str] | None = None,
    faults: Faults | None = None,
    request_timeout: float = 60.0,
    **limits: Any,
) -> AsyncIterator[Running]:
    """A gateway for the duration of the block. `limits` are those of `Gateway`."""
    facts = list[Fact]()
    async with embedded_sqs(queue, faults=faults, **(attributes or {})) as (server, session):

        async def shared() -> Session:
            return session

        async with open_publisher(queue, options or PublisherOptions(), shared) as publisher:
            app = Gateway(publisher, FixedKeys(keys), ready, observe=facts.append, **limits)
            bounds = ServerLimits(1_000, request_timeout=request_timeout)
            async with serving(app.asgi(), limits=bounds) as port:
                url = f"http://127.0.0.1:{port}"
                async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60.0) as http:
                    yield Running(url, port, app, server, queue, http, facts)


async def until(condition: Callable[[], object]) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the condition is at another socket's end
            await asyncio.sleep(0.005)
