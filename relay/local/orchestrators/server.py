"""The HTTP server of the emulators: it records starts, goes down and up, and injects faults."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from relay.http.server import serving


@dataclass
class Starts:
    """What was started, by key, in the order of the first starts.

    `started` has the content of each key's first request: the event as it was sent. `attempts`
    counts every request.
    """

    started: dict[str, bytes] = field(default_factory=dict)
    attempts: Counter[str] = field(default_factory=Counter)

    def start(self, key: str, content: bytes) -> bool:
        """Start this key, unless it was started before; whether it is new."""
        self.attempts[key] += 1
        new = key not in self.started
        self.started.setdefault(key, content)
        return new


@dataclass(frozen=True, kw_only=True)
class ApiRequest:
    """A request to an emulator."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An emulator's response."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault for one request.

    With an `answer`, that is the response and nothing is carried out. Without one, the request is
    carried out and its response is lost.
    """

    answer: Answer | None = None


LOST = Answer(status=502, body=b"<html>the answer got lost</html>")
"""The response of a proxy that lost the real one."""


class Server:
    """Listens while entered, always on the same port.

    `faults` are for the next requests, one each. `requests` has the last 1,000.

    Args:
        respond: answers a request.
        port: 0 for any free port.
    """

    def __init__(self, respond: Callable[[ApiRequest], Answer], port: int = 0) -> None:
        self._respond = respond
        self._port = port
        self._serving: AbstractAsyncContextManager[int] | None = None
        self.faults: deque[Fault] = deque()
        self.requests: deque[ApiRequest] = deque(maxlen=1_000)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.down()

    async def up(self) -> None:
        """Start listening."""
        route = Route("/{path:path}", self._handle, methods=["GET", "POST"])
        self._serving = serving(Starlette(routes=[route]), port=self._port, grace=0.1)
        self._port = await self._serving.__aenter__()

    async def down(self) -> None:
        """Stop listening."""
        if self._serving is not None:
            context, self._serving = self._serving, None
            await context.__aexit__(None, None, None)

    async def _handle(self, request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:
            return Response(status_code=400)
        path = request.scope["raw_path"].decode()
        received = ApiRequest(method=request.method, path=path, headers=request.headers, body=body)
        self.requests.append(received)
        fault = self.faults.popleft() if self.faults else None
        if fault is not None and fault.answer is not None:
            return _response(fault.answer)
        answer = self._respond(received)
        return _response(answer if fault is None else LOST)


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, dict(answer.headers), "application/json")
