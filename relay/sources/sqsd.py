"""The HTTP app to which sqsd, Elastic Beanstalk's worker daemon, posts messages (push mode)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from relay.delivery.fast_path import Begin, FastDelivery, PendingOutcome, Rest
from relay.http.server import Readiness, health_routes
from relay.model.message import Message
from relay.model.outcome import Outcome, Retry
from relay.sources.sqsd_request import NotFromSqsd, message_of

BODY_LIMIT = 2 * 1_048_576
"""Bytes: twice what SQS can hold. A larger body does not come from sqsd."""

LAST_WAIT = 20.0
"""Seconds after the hold for dead-lettering a message. sqsd waits for at least 30 more."""

PROMPT = 0.25
"""Seconds in which nearly all messages are delivered. Only then a request gets a task of its own,
which notices that the client has left."""

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT")
"""The methods of requests that have no message."""

_log = logging.getLogger(__name__)


class Waiter(Struct, eq=False):
    """A request that waits for the outcome of its message, or for what is left to do for it."""

    result: asyncio.Future[Outcome | asyncio.Future[Outcome]]

    def finished(self, outcome: Outcome) -> None:
        """The message has its outcome."""
        if not self.result.done():
            self.result.set_result(outcome)

    def proceed(self, rest: Rest) -> None:
        """The message leaves the fast path."""
        pending = asyncio.ensure_future(rest())
        if self.result.done():
            pending.cancel()
        else:
            self.result.set_result(pending)

    def leave(self) -> None:
        """The request waits no more."""
        if self.result.done() and not self.result.cancelled():
            pending = self.result.result()
            if isinstance(pending, asyncio.Future):
                pending.cancel()


class PushApp:
    """Passes each posted message to a handler and answers with its outcome.

    200 only for a message that may be deleted, 503 for one that must be delivered again. Create it
    inside the event loop that serves it.

    Args:
        begin: begins to handle a message. Its outcome may come at any time.
        end_wait: called at the end of the hold. True if the message must not be given back,
            because the queue would delete it while sqsd hides it: its outcome then follows.
        hold: seconds after which a request that still waits is answered 503. sqsd delivers the
            message again after ErrorVisibilityTimeout; it then joins the handling, if that goes on.
        ready: the answer to `GET /ready`.
        task_paths: paths besides `/` on which periodic tasks are accepted.
    """

    def __init__(
        self,
        begin: Begin,
        *,
        end_wait: Callable[[Message], bool] = lambda _: False,
        hold: float,
        ready: Readiness,
        task_paths: frozenset[str] = frozenset(),
    ) -> None:
        self._begin = begin
        self._end_wait = end_wait
        self._hold = hold
        self._task_paths = task_paths
        self._others = Starlette(
            routes=[*health_routes(ready), Route("/{path:path}", _not_a_post, methods=METHODS)]
        )
        self._stopping = False
        self._loop = asyncio.get_running_loop()
        self._released = self._loop.create_future()

    def asgi(self) -> ASGIApp:
        """The application to serve."""
        return self._serve

    def stop(self) -> None:
        """Answer new requests 503 at once."""
        self._stopping = True

    def release(self) -> None:
        """Answer every held request 503."""
        if not self._released.done():
            self._released.set_result(None)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Every message is posted. Starlette's routing would take as long as all that is done here.
        if scope["type"] == "http" and scope["method"] == "POST":
            response = await self._post(scope, receive)
            await response(scope, receive, send)
        else:
            await self._others(scope, receive, send)

    async def _post(self, scope: Scope, receive: Receive) -> Response:
        if self._stopping:
            return _again("stopping", "the relay is stopping")
        try:
            body = await _body(receive)
            message = message_of(scope["headers"], body, scope["path"], self._task_paths)
        except ClientDisconnect:
            return _again("disconnected", "the connection closed before the end of the body")
        except NotFromSqsd as error:
            _log.warning("refused a request (%s): %s", error.code, error.reason)
            return JSONResponse({"code": error.code, "reason": error.reason}, error.status)
        return await self._outcome(receive, message)

    async def _outcome(self, receive: Receive, message: Message) -> Response:
        """Answer with the message's outcome, or 503 at the end of the hold or on a disconnect."""
        ends = self._loop.time() + self._hold
        waiter = Waiter(self._loop.create_future())
        begun = self._begin(message, waiter)
        pending: Outcome | PendingOutcome
        if isinstance(begun, FastDelivery):
            pending = await self._prompt(begun, waiter)
        else:
            pending = begun()
        if isinstance(pending, Outcome):
            return _answer(pending)
        return await self._held(receive, message, asyncio.ensure_future(pending), ends)

    async def _prompt(
        self, begun: FastDelivery, waiter: Waiter
    ) -> Outcome | asyncio.Future[Outcome]:
        """The outcome, if it comes within `PROMPT` seconds and no trouble with it."""
        timer = self._loop.call_later(min(PROMPT, self._hold), begun.take_apart)
        try:
            return await waiter.result
        except asyncio.CancelledError:
            begun.abandon()
            waiter.leave()
            raise
        finally:
            timer.cancel()

    async def _held(
        self, receive: Receive, message: Message, handling: asyncio.Future[Outcome], ends: float
    ) -> Response:
        leaving = asyncio.ensure_future(_disconnect(receive))
        try:
            left = max(0.0, ends - self._loop.time())
            if await self._timed_out(handling, leaving, left) and self._end_wait(message):
                await self._timed_out(handling, leaving, LAST_WAIT)
        finally:
            leaving.cancel()
            settled = handling.done()
            handling.cancel()
        if not settled:
            return _again("held", "not settled yet: the message will be delivered again")
        return _answer(handling.result())

    async def _timed_out(
        self, handling: asyncio.Future[Outcome], leaving: asyncio.Future[None], seconds: float
    ) -> bool:
        ends: set[asyncio.Future[Any]] = {handling, leaving, self._released}
        done, _ = await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return not done


async def _not_a_post(_request: Request) -> Response:
    reason = "sqsd posts messages; this server also answers GET /health and GET /ready"
    body = {"code": "method_not_allowed", "reason": reason}
    return JSONResponse(body, status_code=405, headers={"Allow": "POST"})


_DELETE = Response(status_code=200)
"""The answer for a message that may be deleted."""


def _answer(outcome: Outcome) -> Response:
    if isinstance(outcome, Retry):
        return _again("retry", outcome.reason)
    return _DELETE


def _again(code: str, reason: str) -> Response:
    return JSONResponse({"code": code, "reason": reason}, status_code=503)


async def _body(receive: Receive) -> bytes:
    """The body of a request.

    Raises:
        ClientDisconnect: the rest of it will not arrive.
        NotFromSqsd: it is too large.
    """
    body = bytearray()  # a list of many small parts would take many times the body's size
    more = True
    while more:
        part = await receive()
        if part["type"] == "http.disconnect":
            raise ClientDisconnect
        body += part.get("body", b"")
        more = part.get("more_body", False)
        if len(body) > BODY_LIMIT:
            raise NotFromSqsd("body_too_large", f"the body is over {BODY_LIMIT} bytes", status=413)
    return bytes(body)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
