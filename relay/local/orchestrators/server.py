"""A server on a loopback socket that goes down, comes back, and goes wrong as it is told."""

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
    """What was started, by key, in the order of its first time; `asked` counts every request.

    Contents are the events as they were sent.
    """

    started: dict[str, bytes] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    def start(self, key: str, content: bytes) -> bool:
        """Start it unless it was; whether it was not."""
        self.asked[key] += 1
        new = key not in self.started
        self.started.setdefault(key, content)
        return new


@dataclass(frozen=True, kw_only=True)
class ApiRequest:
    """A request as a stand-in sees it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What it is answered with."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to the next request: `answer` and nothing else, or all of it but its answer."""

    answer: Answer | None = None


LOST = Answer(status=502, body=b"<html>the answer got lost</html>")
"""What a proxy says of an answer that did not come."""


class Server:
    """Listens while it is entered, on the same port for its whole life.

    Args:
        respond: answers a request.
        port: 0 for any free one.
    """

    def __init__(self, respond: Callable[[ApiRequest], Answer], port: int = 0) -> None:
        self._respond = respond
        self._port = port
        self._serving: AbstractAsyncContextManager[int] | None = None
        self.faults: deque[Fault] = deque()
        self.requests: deque[ApiRequest] = deque(maxlen=1_000)

    @property
    def url(self) -> str:
        """Where it listens."""
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
        """Listen."""
        route = Route("/{path:path}", self._handle, methods=["GET", "POST"])
        self._serving = serving(Starlette(routes=[route]), port=self._port, grace=0.1)
        self._port = await self._serving.__aenter__()

    async def down(self) -> None:
        """Stop listening."""
        if self._serving is not None:
            serving_until_now, self._serving = self._serving, None
            await serving_until_now.__aexit__(None, None, None)

    async def _handle(self, request: Request) -> Response:
        try:
            body = await request.body()
        except ClientDisconnect:
            return Response(status_code=400)
        path = request.scope["raw_path"].decode()
        asked = ApiRequest(method=request.method, path=path, headers=request.headers, body=body)
        self.requests.append(asked)
        fault = self.faults.popleft() if self.faults else None
        if fault is not None and fault.answer is not None:
            return _response(fault.answer)
        answer = self._respond(asked)
        return _response(answer if fault is None else LOST)


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, dict(answer.headers), "application/json")
