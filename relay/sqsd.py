"""Push mode: the ASGI app that Elastic Beanstalk's worker daemon posts each message to.

The daemon deletes a message on a 200 and on nothing else, so 200 is said only once the message's
events are accepted or its copy is in the dead-letter queue. Everything else is a 503 (come again)
or, for a request that no daemon of ours sends, a 4xx with a code.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from relay.health import Readiness, health_routes
from relay.message import Message, Outcome, Retry
from relay.sqsd_request import NotFromSqsd, message_of

BODY_LIMIT = 2 * 1_048_576
"""Bytes: twice what SQS can hold. A larger body is from somebody else."""

_log = logging.getLogger(__name__)


class PushApp:
    """The app's endpoints around one handler. Made inside the event loop that serves it.

    Args:
        handle: brings a message to its end; may take as long as it likes.
        hold: seconds after which a request that still waits is answered 503. A message then comes
            back after the daemon's ErrorVisibilityTimeout and joins the work if it still goes on.
        ready: the answer to `GET /ready`.
        task_paths: paths beside `/` on which periodic tasks are taken.
    """

    def __init__(
        self,
        handle: Callable[[Message], Awaitable[Outcome]],
        *,
        hold: float,
        ready: Readiness,
        task_paths: frozenset[str] = frozenset(),
    ) -> None:
        self._handle = handle
        self._hold = hold
        self._ready = ready
        self._task_paths = task_paths
        self._stopping = False
        self._released = asyncio.get_running_loop().create_future()

    def asgi(self) -> Starlette:
        """The application to serve."""
        return Starlette(
            routes=[
                *health_routes(self._ready),
                Route("/{path:path}", self._post, methods=["POST"]),
            ]
        )

    def stop(self) -> None:
        """Take nothing new: what arrives from now on is answered 503 at once."""
        self._stopping = True

    def release(self) -> None:
        """Answer 503 to every request that is still held."""
        if not self._released.done():
            self._released.set_result(None)

    async def _post(self, request: Request) -> Response:
        if self._stopping:
            return _again("stopping", "the relay is stopping")
        try:
            body = await _body(request)
            message = message_of(request.headers.raw, body, request.url.path, self._task_paths)
        except ClientDisconnect:
            return _again("disconnected", "the request ended before its body did")
        except NotFromSqsd as error:
            _log.warning("refused a request (%s): %s", error.code, error.reason)
            return JSONResponse({"code": error.code, "reason": error.reason}, error.status)
        return await self._outcome(request, message)

    async def _outcome(self, request: Request, message: Message) -> Response:
        """Answer with the message's outcome, or 503 when the hold is over or nobody listens."""
        handling = asyncio.ensure_future(self._handle(message))
        leaving = asyncio.ensure_future(_disconnect(request))
        try:
            await asyncio.wait(
                {handling, leaving, self._released},
                timeout=self._hold,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            leaving.cancel()
            if not handling.done():
                handling.cancel()
        if not handling.done():
            return _again("held", "not settled yet; the message comes again")
        return _answer(handling.result())


def _answer(outcome: Outcome) -> Response:
    if isinstance(outcome, Retry):
        return _again("retry", outcome.reason)
    return Response(status_code=200)


def _again(code: str, reason: str) -> Response:
    return JSONResponse({"code": code, "reason": reason}, status_code=503)


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_LIMIT:
            raise NotFromSqsd("body_too_large", f"the body is over {BODY_LIMIT} bytes", status=413)
        parts.append(part)
    return b"".join(parts)


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
