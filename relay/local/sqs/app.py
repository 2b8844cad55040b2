"""The ASGI app: decodes a request, applies faults, runs the action and encodes the response."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any, TypeAlias, TypeVar
from uuid import uuid4

import msgspec

from relay.local.sqs.account import Account
from relay.local.sqs.actions import ACTIONS
from relay.local.sqs.actions.call import Call
from relay.local.sqs.actions.messages import system_attributes
from relay.local.sqs.actions.queues import described
from relay.local.sqs.errors import SqsError, missing
from relay.local.sqs.faults import NO_FAULT, Fault, Faults, FaultScript, Request
from relay.local.sqs.moves import MoveTasks
from relay.local.sqs.stored import Stored

T = TypeVar("T")
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_Reply: TypeAlias = tuple[int, list[tuple[bytes, bytes]], bytes]

_TARGET = b"AmazonSQS."
_TYPE = (b"content-type", b"application/x-amz-json-1.0")
_encode = msgspec.json.Encoder().encode


def state_of(account: Account, requests: Mapping[str, int]) -> dict[str, Any]:
    """All queues with all messages, without receiving any, and the number of calls by action.

    A message has its `MessageId`, `Body`, `MessageAttributes`, system `Attributes`, its `State`
    (`visible`, `in_flight` or `delayed`) and, unless visible, `VisibleAt` in seconds.
    """
    return {
        "Queues": [
            {
                "QueueName": queue.name,
                "QueueUrl": account.url_of(queue),
                "Attributes": described(queue),
                "Messages": [_shown(stored, account.id) for stored in queue.messages()],
            }
            for queue in account.queues.values()
        ],
        "Requests": dict(requests),
    }


def _shown(stored: Stored, sender: str) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "MessageId": stored.message_id,
        "Body": stored.body,
        "MessageAttributes": stored.attributes,
        "Attributes": system_attributes(stored, sender),
        "State": stored.state,
    }
    if stored.state != "visible":
        shown["VisibleAt"] = stored.visible_at
    return shown


class ClientGone(Exception):
    """The client has disconnected, or a fault closes its connection without a response."""


class SqsApp:
    """The ASGI app. `cut` closes the connection of a scope; `requests` counts calls by action."""

    def __init__(
        self, account: Account, faults: Faults | None, cut: Callable[[Scope], None]
    ) -> None:
        self.account, self.moves = account, MoveTasks(account)
        self.script = FaultScript()
        self.requests: Counter[str] = Counter()
        self._faults, self._cut = faults, cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            body = await _read(receive)
            if scope["path"].startswith("/_"):
                status, headers, content = self._own(scope, body)
            else:
                status, headers, content = await self._serve(scope, body, receive)
        except ClientGone:
            self._cut(scope)
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        headers += [_TYPE, (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _serve(self, scope: Scope, body: bytes, receive: Receive) -> _Reply:
        headers = [(b"x-amzn-requestid", str(uuid4()).encode())]
        try:
            action = _action(scope)
            self.requests[action] += 1
            answer = await self._carry_out(action, body, receive)
        except SqsError as error:
            headers.append((b"x-amzn-query-error", error.query_error.encode()))
            return error.status, headers, _encode(_described(error))
        return 200, headers, _encode(answer or {})

    async def _carry_out(self, action: str, body: bytes, receive: Receive) -> dict[str, Any] | None:
        fault = self._fault(action, body)
        if fault.delay:
            await _unless_client_gone(receive, self.account.clock.sleep(fault.delay))
        if fault.refuse:
            raise ClientGone
        if fault.error is not None:
            raise _scripted(fault)
        try:
            answer = ACTIONS[action](Call(self.account, self.moves, fault), body)
        except msgspec.DecodeError as error:
            raise _malformed(error) from error
        if isinstance(answer, Coroutine):
            answer = await _unless_client_gone(receive, answer)
        if fault.drop:
            raise ClientGone
        return answer

    def _fault(self, action: str, body: bytes) -> Fault:
        if self._faults is None and not self.script.pending:
            return NO_FAULT
        request = Request(action, body)
        found = None if self._faults is None else self._faults(request)
        return found or self.script(request) or NO_FAULT

    def _own(self, scope: Scope, body: bytes) -> _Reply:
        """The endpoints that SQS does not have: `/_state` shows everything, `/_faults` sets faults.

        `GET /_faults` lists the pending faults, `POST` appends a JSON array of faults, `DELETE`
        removes all; the fields are those of `Fault`.
        """
        route = scope["method"], scope["path"]
        if route == ("GET", "/_state"):
            return 200, [], _encode(state_of(self.account, self.requests))
        if route == ("POST", "/_faults"):
            try:
                self.script.add(*msgspec.json.decode(body, type=list[Fault]))
            except msgspec.DecodeError as error:
                return 400, [], _encode({"message": str(error)})
        elif route == ("DELETE", "/_faults"):
            self.script.clear()
        elif route != ("GET", "/_faults"):
            return 404, [], _encode({"message": "Not found. Try /_state or /_faults."})
        return 200, [], _encode(self.script.pending)


async def _read(receive: Receive) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return bytes(message["body"])
    parts = bytearray()
    while message["type"] == "http.request":
        parts += message["body"]
        if not message.get("more_body"):
            return bytes(parts)
        message = await receive()
    raise ClientGone


async def _unless_client_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled if the client disconnects first."""
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone
    finally:
        gone.cancel()
        working.cancel()
        await asyncio.wait({working, gone})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _action(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-amz-target" and value.startswith(_TARGET):
            action = value[len(_TARGET) :].decode("latin-1")
            if action in ACTIONS:
                return str(action)
    raise SqsError(
        "UnknownOperationException",
        "This local server emulates SQS only: X-Amz-Target must be AmazonSQS.<action>.",
    )


def _malformed(error: msgspec.DecodeError) -> SqsError:
    text = str(error)
    if "missing required field" in text:
        return missing(text.split("`")[1])
    return SqsError("SerializationException", text)


def _scripted(fault: Fault) -> SqsError:
    error = SqsError(fault.error or "", "This error was injected by a fault.")
    error.status = fault.status or error.status
    return error


def _described(error: SqsError) -> dict[str, str]:
    return {"__type": f"com.amazonaws.sqs#{error.code}", "message": error.message}
