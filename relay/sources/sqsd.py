"""The HTTP app to which sqsd, Elastic Beanstalk's worker daemon, posts messages (push mode)."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from relay.http.server import Readiness, health_routes
from relay.model.message import Attribute, Message, PeriodicTask
from relay.model.outcome import Outcome, Retry, shortened

BODY_LIMIT = 2 * 1_048_576
"""Bytes: twice what SQS can hold. A larger body does not come from sqsd."""

LAST_WAIT = 20.0
"""Seconds after the hold for dead-lettering a message. sqsd waits for at least 30 more."""
MESSAGE_ID_LENGTH = 100
"""Characters; Amazon SQS's own limit. Longer ones would fill the memory for recent MessageIds."""

_PREFIX = b"x-aws-sqsd-"
_ATTRIBUTE = b"x-aws-sqsd-attr-"
_COUNT = re.compile(r"[0-9]{1,9}")

_log = logging.getLogger(__name__)


class NotFromSqsd(Exception):
    """The request is not one that sqsd sends to this app. It is refused, never acknowledged.

    If there is a message behind it, it stays in the queue until SQS's own redrive policy moves it.
    """

    def __init__(self, code: str, reason: str, *, status: int = 400) -> None:
        self.reason = shortened(reason)
        super().__init__(self.reason)
        self.code = code
        self.status = status


def message_of(
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
    path: str,
    task_paths: frozenset[str] = frozenset(),
) -> Message:
    """The message in a request of sqsd (Elastic Beanstalk developer guide, worker tier).

    Attributes arrive as headers: names in lower case, Number as text, Binary not at all. Their
    types are not sent, so every attribute is a String here.

    Raises:
        NotFromSqsd: a header that sqsd always sends is missing, the settings do not allow the path,
            or the body was dropped. A producer can choose a message's path, and sqsd then empties
            the body: such a message is refused.
    """
    fields: dict[str, str] = {}
    attributes: dict[str, Attribute] = {}
    for name, value in headers:
        lower = name.lower()
        if lower.startswith(_ATTRIBUTE):
            key = lower.removeprefix(_ATTRIBUTE).decode("latin-1")
            attributes[key] = Attribute("String", _text(value))
        elif lower.startswith(_PREFIX):
            fields[lower.removeprefix(_PREFIX).decode("latin-1")] = _text(value)
    task = _task(fields)
    _check(fields, path, task, task_paths)
    if not body and task is None:
        # SQS has no empty bodies, so the message has one. Its dead letter would be without it.
        raise NotFromSqsd(
            "emptied_body",
            "sqsd dropped the body, as it does for messages that set their path with the attribute"
            " beanstalk.sqsd.path",
        )
    return Message(
        body=body,
        message_id=fields["msgid"],
        queue=fields.get("queue", ""),
        attributes=attributes,
        receive_count=_count(fields.get("receive-count")),
        sent_at=_time(fields.get("sent-at")),
        first_received_at=_time(fields.get("first-received-at")),
        task=task,
    )


def _check(
    fields: dict[str, str],
    path: str,
    task: PeriodicTask | None,
    task_paths: frozenset[str],
) -> None:
    if not 0 < len(fields.get("msgid", "")) <= MESSAGE_ID_LENGTH:
        raise NotFromSqsd(
            "not_sqsd",
            "the header X-Aws-Sqsd-Msgid is missing or too long: only sqsd may post here",
        )
    if path != "/" and path not in task_paths:
        raise NotFromSqsd(
            "path_not_allowed",
            f"the path {path!r} is not allowed: if cron.yaml uses it, add it to RELAY_TASK_PATHS",
            status=404,
        )
    if path != "/" and task is None:
        raise NotFromSqsd(
            "not_a_task",
            f"the path {path!r} is for periodic tasks only, and X-Aws-Sqsd-Taskname is missing",
        )


def _task(fields: dict[str, str]) -> PeriodicTask | None:
    name = fields.get("taskname")
    return PeriodicTask(name, fields.get("scheduled-at", "")) if name else None


def _text(value: bytes) -> str:
    """The text of a header's bytes: UTF-8, or Latin-1 if they are not."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _count(value: str | None) -> int:
    return int(value) if value is not None and _COUNT.fullmatch(value) else 1


def _time(value: str | None) -> float | None:
    """Epoch seconds of an ISO 8601 time; UTC if it has no zone."""
    if value is None:
        return None
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


class PushApp:
    """Passes each posted message to a handler and answers with its outcome.

    200 only for a message that may be deleted, 503 for one that must be delivered again. Create it
    inside the event loop that serves it.

    Args:
        handle: returns a message's outcome, at any time.
        end_wait: called at the end of the hold. True if the message must not be given back,
            because the queue would delete it while sqsd hides it: its outcome then follows.
        hold: seconds after which a request that still waits is answered 503. sqsd delivers the
            message again after ErrorVisibilityTimeout; it then joins the handling, if that goes on.
        ready: the answer to `GET /ready`.
        task_paths: paths besides `/` on which periodic tasks are accepted.
    """

    def __init__(
        self,
        handle: Callable[[Message], Awaitable[Outcome]],
        *,
        end_wait: Callable[[Message], bool] = lambda _: False,
        hold: float,
        ready: Readiness,
        task_paths: frozenset[str] = frozenset(),
    ) -> None:
        self._handle = handle
        self._end_wait = end_wait
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
        """Answer new requests 503 at once."""
        self._stopping = True

    def release(self) -> None:
        """Answer every held request 503."""
        if not self._released.done():
            self._released.set_result(None)

    async def _post(self, request: Request) -> Response:
        if self._stopping:
            return _again("stopping", "the relay is stopping")
        try:
            body = await _body(request)
            message = message_of(request.headers.raw, body, request.url.path, self._task_paths)
        except ClientDisconnect:
            return _again("disconnected", "the connection closed before the end of the body")
        except NotFromSqsd as error:
            _log.warning("refused a request (%s): %s", error.code, error.reason)
            return JSONResponse({"code": error.code, "reason": error.reason}, error.status)
        return await self._outcome(request, message)

    async def _outcome(self, request: Request, message: Message) -> Response:
        """Answer with the message's outcome, or 503 at the end of the hold or on a disconnect."""
        handling = asyncio.ensure_future(self._handle(message))
        leaving = asyncio.ensure_future(_disconnect(request))
        try:
            if await self._timed_out(handling, leaving, self._hold) and self._end_wait(message):
                await self._timed_out(handling, leaving, LAST_WAIT)
        finally:
            leaving.cancel()
            if not handling.done():
                handling.cancel()
        if not handling.done():
            return _again("held", "not settled yet: the message will be delivered again")
        return _answer(handling.result())

    async def _timed_out(
        self, handling: asyncio.Future[Outcome], leaving: asyncio.Future[None], seconds: float
    ) -> bool:
        ends: set[asyncio.Future[Any]] = {handling, leaving, self._released}
        done, _ = await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return not done


def _answer(outcome: Outcome) -> Response:
    if isinstance(outcome, Retry):
        return _again("retry", outcome.reason)
    return Response(status_code=200)


def _again(code: str, reason: str) -> Response:
    return JSONResponse({"code": code, "reason": reason}, status_code=503)


async def _body(request: Request) -> bytes:
    body = bytearray()  # a list of many small parts would take many times the body's size
    async for part in request.stream():
        body += part
        if len(body) > BODY_LIMIT:
            raise NotFromSqsd("body_too_large", f"the body is over {BODY_LIMIT} bytes", status=413)
    return bytes(body)


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
