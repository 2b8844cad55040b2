"""A verified webhook as one event of the orchestrator."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import msgspec
from msgspec import Raw

from relay.envelope.detection import checked_text
from relay.envelope.fields import MAX_NAME, RESERVED_PREFIX
from relay.envelope.json_document import parse_document
from relay.envelope.opened_envelope import InvalidContent
from relay.gateway.webhooks.places import read_place
from relay.gateway.webhooks.request import Encoding, WebhookRequest
from relay.gateway.webhooks.sources import Source

UNTYPED = "received"
"""The type of a webhook in which there is none at the source's places."""

MAX_ID = 256
"""Characters. A longer id of a sender is replaced by its hash."""

_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f\ud800-\udfff]+")
_encode = msgspec.json.encode


def event_of(name: str, source: Source, request: WebhookRequest, now: float) -> bytes:
    """The event as JSON: `{"name": …, "id": …, "ts": …, "data": {…}}`.

    `data` has the source's name, the kept headers, and the body: JSON as it was sent, a form as an
    object of its fields, other text as text, anything else as base64. `encoding` says which.

    Args:
        name: the source's name.
        source: its description.
        request: the verified request.
        now: seconds since 1970.
    """
    event: dict[str, Any] = {"name": event_name(name, source, request), "ts": int(now * 1_000)}
    if event_id := _event_id(name, source, request):
        event["id"] = event_id
    if request.json is not None:
        text = _encode(event | {"data": _data(name, source, request, "json", Raw(request.json))})
        if _acceptable(text):
            return text
    encoding, body = _without_json(request)
    return _encode(event | {"data": _data(name, source, request, encoding, body)})


def event_name(name: str, source: Source, request: WebhookRequest) -> str:
    """The prefix and the type, such as `stripe/invoice.paid`. A webhook is never refused for it."""
    found = (_UNPRINTABLE.sub(" ", read_place(place, request)).strip() for place in source.type)
    prefix = source.prefix or name
    kind = ".".join(filter(None, found)) or UNTYPED
    full = f"{prefix}/{kind}"[:MAX_NAME]
    return f"webhook-{full}"[:MAX_NAME] if full.lower().startswith(RESERVED_PREFIX) else full


def _event_id(name: str, source: Source, request: WebhookRequest) -> str:
    """The sender's id behind the source's name, so that two sources never share an id."""
    found = read_place(source.id, request).strip() if source.id else ""
    if not found:
        return ""
    if len(found) > MAX_ID or _UNPRINTABLE.search(found):
        found = hashlib.sha256(found.encode(errors="surrogatepass")).hexdigest()
    return f"{name}:{found}"


def _data(
    name: str, source: Source, request: WebhookRequest, encoding: Encoding, body: Any
) -> dict[str, Any]:
    kept = {header.lower() for header in source.headers}
    headers = {key: value for key, value in request.headers.items() if key in kept}
    return {
        "source": name,
        "contentType": request.content_type,
        "headers": headers,
        "encoding": encoding,
        "body": body,
    }


def _without_json(request: WebhookRequest) -> tuple[Encoding, Any]:
    if request.form:
        return "form", {
            field: values[0] if len(values) == 1 else values
            for field, values in request.form.items()
        }
    try:
        return "text", request.body.decode()
    except UnicodeDecodeError:
        return "base64", base64.b64encode(request.body).decode()


def _acceptable(text: bytes) -> bool:
    """Whether the relay would accept the event: it may be too deep with the body in it."""
    try:
        parse_document(checked_text(text))
    except InvalidContent:
        return False
    return True
