"""What the worker daemon's request says: its headers become a message."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from relay.http.server import Readiness, health_routes
from relay.model.message import Attribute, Message, PeriodicTask
from relay.model.outcome import Outcome, Retry

_PREFIX = b"x-aws-sqsd-"
_ATTRIBUTE = b"x-aws-sqsd-attr-"
_COUNT = re.compile(r"[0-9]{1,9}")


class NotFromSqsd(Exception):
    """The request is none that the daemon sends for us; it is refused and nothing is acknowledged.

    A message behind it stays in the queue, whole, until SQS's own redrive policy moves it.
    """

    def __init__(self, code: str, reason: str, *, status: int = 400) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.status = status


def message_of(
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
    path: str,
    task_paths: frozenset[str] = frozenset(),
) -> Message:
    """The message in a request of the daemon (Elastic Beanstalk developer guide, worker tier).

    Attributes arrive as headers: names in lower case, Number as text, Binary not at all. The types
    are not told, so every attribute is a String here.

    Raises:
        NotFromSqsd: headers that every request of the daemon has are missing, the path is not one
            that the settings allow, or the body was dropped. Whoever may send a message may choose
            its path, and the daemon then empties the body: such a message is not taken.
    """
    told: dict[str, str] = {}
    attributes: dict[str, Attribute] = {}
    for name, value in headers:
        lower = name.lower()
        if lower.startswith(_ATTRIBUTE):
            key = lower.removeprefix(_ATTRIBUTE).decode("latin-1")
            attributes[key] = Attribute("String", _text(value))
        elif lower.startswith(_PREFIX):
            told[lower.removeprefix(_PREFIX).decode("latin-1")] = _text(value)
    task = _task(told)
    _check(told, path, task, task_paths)
    if not body and task is None:
        # SQS holds no empty body: a dead letter of this one would be all that is left of the whole.
        raise NotFromSqsd(
            "emptied_body",
            "the body was dropped on the way, as the daemon does where a message chooses its path"
            " with beanstalk.sqsd.path",
        )
    return Message(
        body=body,
        message_id=told["msgid"],
        queue=told.get("queue", ""),
        attributes=attributes,
        receive_count=_count(told.get("receive-count")),
        sent_at=_time(told.get("sent-at")),
        first_received_at=_time(told.get("first-received-at")),
        task=task,
    )


def _check(
    told: dict[str, str],
    path: str,
    task: PeriodicTask | None,
    task_paths: frozenset[str],
) -> None:
    if not told.get("msgid"):
        raise NotFromSqsd(
            "not_sqsd", "the header X-Aws-Sqsd-Msgid is missing: only the worker daemon posts here"
        )
    if path != "/" and path not in task_paths:
        raise NotFromSqsd(
            "path_not_allowed",
            f"no task is taken on {path!r}: name the path in RELAY_TASK_PATHS if cron.yaml uses it",
            status=404,
        )
    if path != "/" and task is None:
        raise NotFromSqsd(
            "not_a_task", f"{path!r} takes periodic tasks only, and X-Aws-Sqsd-Taskname is missing"
        )


def _task(told: dict[str, str]) -> PeriodicTask | None:
    name = told.get("taskname")
    return PeriodicTask(name, told.get("scheduled-at", "")) if name else None


def _text(value: bytes) -> str:
    """Header bytes as the daemon wrote them: UTF-8, or Latin-1 where they are not."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _count(value: str | None) -> int:
    return int(value) if value is not None and _COUNT.fullmatch(value) else 1


def _time(value: str | None) -> float | None:
    """Epoch seconds of an ISO 8601 time; UTC where it names no zone."""
    if value is None:
        return None
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


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
