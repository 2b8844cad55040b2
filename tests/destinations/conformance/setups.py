"""Each destination with a server, as real as possible, and the same controls for all of them."""

from __future__ import annotations

import http.client
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from relay.app.destinations import open_single_event_destination
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
"""Seconds for a request, far longer than any takes here."""


@dataclass(kw_only=True)
class Setup:
    """A destination and the controls of its server.

    Attributes:
        started: returns how many things the server has started.
        throttle: the next request is throttled, with this `Retry-After`.
        deny: from now on no credential is valid.
        lose_answer: the next request is executed and its answer is lost.
        controls: whether the three above work; with a real server they do not.
        reports_wait: throttling can say how long to wait.
        sees_conflicts: the destination detects other content under a known id.
        conflicts: the events for which it did.
        port: of a server that tests connect to themselves.
    """

    destination: Destination
    traits: Traits
    started: Callable[[], Any]
    throttle: Callable[[str], None] = lambda _after: None
    deny: Callable[[], None] = lambda: None
    lose_answer: Callable[[], None] = lambda: None
    controls: bool = True
    reports_wait: bool = True
    sees_conflicts: bool = False
    conflicts: list[Event] = field(default_factory=list)
    port: int | None = None


def answered(status: int, body: str = "{}", **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(answer=Answer(status=status, body=body.encode(), headers=named))


@asynccontextmanager
async def inngest() -> AsyncIterator[Setup]:
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

        def throttle(after: str) -> None:
            fault(accept=0, status=429, headers={"Retry-After": after})

        refusal = json.dumps({"status": 401, "message": "", "error": "Event key not found"})
        yield Setup(
            destination=destination,
            traits=traits_of(Settings(), "inngest"),
            started=started,
            throttle=throttle,
            deny=lambda: fault(None, accept=0, status=401, body=refusal),
            lose_answer=lambda: fault(end="close"),
        )


async def opened(
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
    assert loaded.errors == ()
    session = SharedSession(stack)
    opening = open_single_event_destination(name, loaded.settings, session, on_conflict)
    destination, _ = await stack.enter_async_context(opening)
    assert destination.traits == traits_of(loaded.settings, name)
    return destination, destination.traits


@asynccontextmanager
async def emulated(name: str, monkeypatch: Any) -> AsyncIterator[Setup]:
    api = APIS[name]()
    async with Server(api.respond) as server:
        controls = (server, lambda: len(api.starts.started))
        where = {api.url_setting: f"{server.url}{api.path}", **api.settings}
        async with setup_behind(name, *controls, where, monkeypatch) as setup:
            yield setup


THROTTLING = {
    "step-functions": (400, '{"__type":"ThrottlingException","message":"Rate exceeded"}'),
}
DENIALS = {
    "webhook": (410, "gone"),
    "step-functions": (400, '{"__type":"AccessDeniedException","message":"not allowed"}'),
}


@asynccontextmanager
async def setup_behind(
    name: str,
    server: Server,
    started: Callable[[], int],
    variables: Mapping[str, str],
    monkeypatch: Any,
) -> AsyncIterator[Setup]:
    """A setup of a destination whose requests all go to this server."""
    for variable, value in variables.items():
        if variable.startswith("AWS_"):
            monkeypatch.setenv(variable, value)
    conflicts: list[Event] = []
    async with AsyncExitStack() as stack:
        destination, traits = await opened(stack, name, variables, conflicts.append)

        async def count() -> int:
            return started()

        def throttle(after: str) -> None:
            status, body = THROTTLING.get(name, (429, "{}"))
            server.faults.append(answered(status, body, Retry_After=after))

        def deny() -> None:
            status, body = DENIALS.get(name, (401, '{"detail":"Unauthorized"}'))
            server.faults.extend([answered(status, body)] * 50)

        yield Setup(
            destination=destination,
            traits=traits,
            started=count,
            throttle=throttle,
            deny=deny,
            lose_answer=lambda: server.faults.append(Fault()),
            reports_wait=name not in THROTTLING,
            sees_conflicts=name in ("argo", "step-functions"),
            conflicts=conflicts,
        )


def forward_to(url: str) -> Callable[[ApiRequest], Answer]:
    """Forwards each request to the server at the URL."""
    parts = urlsplit(url)

    def respond(request_json: ApiRequest) -> Answer:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=30)
        try:
            kept = {
                k: v for k, v in request_json.headers.items() if k not in ("connection", "host")
            }
            connection.request(request_json.method, request_json.path, request_json.body, kept)
            response = connection.getresponse()
            return Answer(status=response.status, body=response.read())
        finally:
            connection.close()

    return respond
