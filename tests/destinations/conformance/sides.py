"""The other side of each destination, as real as it gets here, with the same few levers."""

from __future__ import annotations

import http.client
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from relay.app.destinations import open_orchestrator
from relay.app.destinations.traits import traits_of
from relay.aws.session import SharedSession
from relay.destinations.inngest.event_api import Inngest
from relay.local.inngest import Fault as InngestFault
from relay.local.inngest import Function, InngestServer, Rule
from relay.local.orchestrators import APIS, Fault, Server
from relay.local.orchestrators.server import Answer, ApiRequest
from relay.model.destination import Destination
from relay.model.event import Event
from relay.model.traits import Traits
from relay.settings.loading import load
from relay.settings.model import Settings

TIMEOUT = 20.0
"""Seconds for a request. Nothing here takes as long."""


@dataclass(kw_only=True)
class Side:
    """A destination with what it talks to.

    Attributes:
        started: how many things run there by now.
        complain: the next request is answered that there are too many, with this `Retry-After`.
        deny: from now on no credential is good.
        lose: the next request is carried out and its answer does not come through.
        levers: the three above do something; a real server does not.
        tells_wait: complaints can say how long to wait.
        sees_conflicts: another content under a known id can be seen.
        conflicts: events of which it was.
        port: of a server that others may want to reach too.
    """

    destination: Destination
    traits: Traits
    started: Callable[[], Any]
    complain: Callable[[str], None] = lambda _after: None
    deny: Callable[[], None] = lambda: None
    lose: Callable[[], None] = lambda: None
    levers: bool = True
    tells_wait: bool = True
    sees_conflicts: bool = False
    conflicts: list[Event] = field(default_factory=list)
    port: int | None = None


def answered(status: int, body: str = "{}", **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(answer=Answer(status=status, body=body.encode(), headers=named))


@asynccontextmanager
async def inngest() -> AsyncIterator[Side]:
    async def key() -> str:
        return "test-key"

    listening = [Function(name="f", on="*")]
    async with (
        InngestServer(functions=listening) as server,
        Inngest(server.url, key, timeout=TIMEOUT) as destination,
    ):

        async def started() -> int:
            await server.settled()
            return len(server.runs)

        def fault(times: int | None = 1, **more: Any) -> None:
            server.script.add(Rule(fault=InngestFault(**more), times=times))

        def complain(after: str) -> None:
            fault(accept=0, status=429, headers={"Retry-After": after})

        refusal = json.dumps({"status": 401, "message": "", "error": "Event key not found"})
        yield Side(
            destination=destination,
            traits=traits_of(Settings(), "inngest"),
            started=started,
            complain=complain,
            deny=lambda: fault(None, accept=0, status=401, body=refusal),
            lose=lambda: fault(end="close"),
        )


async def wired(
    stack: AsyncExitStack,
    name: str,
    variables: Mapping[str, str],
    on_conflict: Callable[[Event], None] = lambda _event: None,
) -> tuple[Destination, Traits]:
    """The destination as the relay opens it with these variables."""
    environ = {
        "RELAY_DESTINATION": name,
        "RELAY_REQUEST_TIMEOUT": str(TIMEOUT),
        "RELAY_REQUEST_CONCURRENCY": "20",
        **variables,
    }
    loaded = load(environ)
    assert loaded.mistakes == ()
    session = SharedSession(stack)
    opening = open_orchestrator(name, loaded.settings, session, on_conflict)
    destination, _ = await stack.enter_async_context(opening)
    assert destination.traits == traits_of(loaded.settings, name)
    return destination, destination.traits


@asynccontextmanager
async def stand_in(name: str, monkeypatch: Any) -> AsyncIterator[Side]:
    api = APIS[name]()
    async with Server(api.respond) as server:
        levers = (server, lambda: len(api.starts.started))
        where = {api.url_setting: f"{server.url}{api.path}", **api.settings}
        async with behind(name, *levers, where, monkeypatch) as side:
            yield side


COMPLAINTS = {
    "step-functions": (400, '{"__type":"ThrottlingException","message":"Rate exceeded"}'),
}
DENIALS = {
    "webhook": (410, "gone"),
    "step-functions": (400, '{"__type":"AccessDeniedException","message":"not allowed"}'),
}


@asynccontextmanager
async def behind(
    name: str,
    server: Server,
    started: Callable[[], int],
    variables: Mapping[str, str],
    monkeypatch: Any,
) -> AsyncIterator[Side]:
    """A destination whose requests all pass through this server."""
    for variable, value in variables.items():
        if variable.startswith("AWS_"):
            monkeypatch.setenv(variable, value)
    conflicts: list[Event] = []
    async with AsyncExitStack() as stack:
        destination, traits = await wired(stack, name, variables, conflicts.append)

        async def count() -> int:
            return started()

        def complain(after: str) -> None:
            status, body = COMPLAINTS.get(name, (429, "{}"))
            server.faults.append(answered(status, body, Retry_After=after))

        def deny() -> None:
            status, body = DENIALS.get(name, (401, '{"detail":"Unauthorized"}'))
            server.faults.extend([answered(status, body)] * 50)

        yield Side(
            destination=destination,
            traits=traits,
            started=count,
            complain=complain,
            deny=deny,
            lose=lambda: server.faults.append(Fault()),
            tells_wait=name not in COMPLAINTS,
            sees_conflicts=name in ("argo", "step-functions"),
            conflicts=conflicts,
        )


def passing_on(url: str) -> Callable[[ApiRequest], Answer]:
    """Answers with what the server at the URL answers."""
    parts = urlsplit(url)

    def respond(asked: ApiRequest) -> Answer:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=30)
        try:
            kept = {k: v for k, v in asked.headers.items() if k not in ("connection", "host")}
            connection.request(asked.method, asked.path, asked.body, kept)
            response = connection.getresponse()
            return Answer(status=response.status, body=response.read())
        finally:
            connection.close()

    return respond
