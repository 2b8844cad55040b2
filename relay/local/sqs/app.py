"""The ASGI app: reads a request of either protocol, applies faults, runs the action and answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, NamedTuple, TypeAlias, TypeVar
from uuid import uuid4

import msgspec

from relay.local.sqs.account import Account
from relay.local.sqs.actions import ACTIONS
from relay.local.sqs.actions.call import Call
from relay.local.sqs.actions.queues import state_of
from relay.local.sqs.errors import SqsError, missing
from relay.local.sqs.faults import NO_FAULT, Fault, Faults, FaultScript, Request
from relay.local.sqs.moves import MoveTasks

T = TypeVar("T")
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_Reply: TypeAlias = tuple[int, list[tuple[bytes, bytes]], bytes]

_TARGET = b"AmazonSQS."
_JSON = (b"content-type", b"application/x-amz-json-1.0")
_XML = (b"content-type", b"text/xml")
_encode = msgspec.json.Encoder().encode


class ClientGone(Exception):
    """The client has disconnected, or a fault closes its connection without a response."""


class _Caller(NamedTuple):
    """What the headers of a request say: its action, the server's address, a trace to continue."""

    target: bytes | None
    base_url: str | None
    trace_header: str | None


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
            body = await _read_body(receive)
            if scope["path"].startswith("/_"):
                status, headers, content = self._own(scope, body)
            else:
                status, headers, content = await self._serve(scope, body, receive)
        except ClientGone:
            self._cut(scope)
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        headers.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _serve(self, scope: Scope, body: bytes, receive: Receive) -> _Reply:
        caller = _caller(scope)
        if caller.target is None:
            return await self._serve_query(scope, body, caller, receive)
        headers = [_JSON, (b"x-amzn-requestid", str(uuid4()).encode())]
        try:
            action = _action(caller.target)
            answer = await self._run(action, body, caller, receive)
        except SqsError as error:
            headers.append((b"x-amzn-query-error", error.query_error.encode()))
            return error.status, headers, _encode(_described(error))
        return 200, headers, _encode(answer or {})

    async def _serve_query(
        self, scope: Scope, body: bytes, caller: _Caller, receive: Receive
    ) -> _Reply:
        from relay.local.sqs import query_protocol  # noqa: PLC0415 - few need botocore's model

        request_id, path = str(uuid4()), scope["path"]
        headers = [_XML, (b"x-amzn-requestid", request_id.encode())]
        try:
            form = query_protocol.read_form(scope["query_string"], body)
            if "Action" not in form:
                return 404, headers, query_protocol.UNKNOWN_OPERATION
            action = query_protocol.read_action(form, path)
            parameters = query_protocol.read_parameters(action, form, path)
            answer = await self._run(action, _encode(parameters), caller, receive)
        except SqsError as error:
            return error.status, headers, query_protocol.encode_error(error, request_id)
        content = query_protocol.encode_answer(action, answer, request_id)
        return 200, headers, content

    async def _run(
        self, action: str, body: bytes, caller: _Caller, receive: Receive
    ) -> dict[str, Any] | None:
        self.requests[action] += 1
        fault = self._fault(action, body)
        if fault.delay:
            await _unless_client_gone(receive, self.account.clock.sleep(fault.delay))
        if fault.refuse:
            raise ClientGone
        if fault.error is not None:
            raise _scripted(fault)
        call = Call(self.account, self.moves, fault, caller.base_url, caller.trace_header)
        try:
            answer = ACTIONS[action](call, body)
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
            return 200, [_JSON], _encode(state_of(self.account, self.requests))
        if route == ("POST", "/_faults"):
            try:
                self.script.add(*msgspec.json.decode(body, type=list[Fault]))
            except msgspec.DecodeError as error:
                return 400, [_JSON], _encode({"message": str(error)})
        elif route == ("DELETE", "/_faults"):
            self.script.clear()
        elif route != ("GET", "/_faults"):
            return 404, [_JSON], _encode({"message": "Not found. Try /_state or /_faults."})
        return 200, [_JSON], _encode(self.script.pending)


async def _read_body(receive: Receive) -> bytes:
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


def _caller(scope: Scope) -> _Caller:
    target = base_url = trace_header = None
    for name, value in scope["headers"]:
        if name == b"x-amz-target":
            target = value
        elif name == b"host":
            base_url = f"{scope['scheme']}://{value.decode('latin-1')}"
        elif name == b"x-amzn-trace-id":
            trace_header = value.decode("latin-1")
    return _Caller(target, base_url, trace_header)


def _action(target: bytes) -> str:
    action = target.removeprefix(_TARGET).decode("latin-1")
    if target.startswith(_TARGET) and action in ACTIONS:
        return action
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
