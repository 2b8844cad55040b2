"""A request to a Lambda function URL as an ASGI application sees it, and its answer as Lambda does.

Lambda Developer Guide, "Invoking Lambda function URLs": version 2.0 of the payload format. The
library for this, Mangum, would write the path of each request to the log, and the event key is in
it; an exception would become a 500 that not every SDK repeats.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import unquote

from msgspec import Struct, ValidationError, convert

Application: TypeAlias = Callable[..., Awaitable[None]]


class NotARequest(ValueError):
    """The event does not come from a function URL."""


class _Http(Struct):
    method: str


class _Context(Struct):
    http: _Http


class _Event(Struct, rename="camel"):
    raw_path: str
    request_context: _Context
    raw_query_string: str = ""
    headers: dict[str, str] = {}
    body: str | None = None
    is_base64_encoded: bool = False


def read_request(event: object) -> tuple[dict[str, Any], bytes]:
    """The ASGI scope and the body of one request.

    Raises:
        NotARequest: the event is none, or its body is not what it says.
    """
    try:
        found = convert(event, _Event)
        body = _body(found)
        headers = [(n.lower().encode("latin-1"), v.encode()) for n, v in found.headers.items()]
        path = found.raw_path.encode()
        query = found.raw_query_string.encode()
    except (ValidationError, UnicodeEncodeError, binascii.Error) as error:
        raise NotARequest(f"the event is no request to a function URL: {error}") from None
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": found.request_context.http.method,
        "scheme": "https",
        "path": unquote(found.raw_path),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
    }
    return scope, body


def _body(event: _Event) -> bytes:
    text = event.body or ""
    if not event.is_base64_encoded:
        return text.encode()
    return base64.b64decode(text.encode(), validate=True)


async def answer(application: Application, scope: dict[str, Any], body: bytes) -> dict[str, object]:
    """The application's answer to one request, in the form that Lambda expects.

    Whatever the application raises is raised here.
    """
    parts, status, headers = [body], HTTPStatus.SERVICE_UNAVAILABLE.value, {}
    sent = bytearray()

    async def receive() -> Mapping[str, object]:
        if parts:
            return {"type": "http.request", "body": parts.pop(), "more_body": False}
        return {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {n.decode("latin-1"): v.decode("latin-1") for n, v in message["headers"]}
        else:
            sent.extend(message.get("body", b""))

    await application(scope, receive, send)
    return response(status, headers, bytes(sent))


def response(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, object]:
    """A response in the form that Lambda expects: text, or base64 if it is none."""
    found: dict[str, object] = {"statusCode": status, "headers": dict(headers)}
    try:
        text, encoded = body.decode(), False
    except UnicodeDecodeError:
        text, encoded = base64.b64encode(body).decode(), True
    return found | {"body": text, "isBase64Encoded": encoded}
