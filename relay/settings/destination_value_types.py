"""Types of setting values that only the destinations use."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from relay.destinations.webhook_rules import parse_rules
from relay.destinations.webhook_signature import signing_key
from relay.forwarding.pacing import parse_rates
from relay.forwarding.routing import parse_routes
from relay.settings.value_types import Expected

Destination = Literal[
    "inngest", "step-functions", "temporal", "prefect", "argo", "webhook", "bullmq"
]

_MACHINE = re.compile(
    r"arn:aws[a-z-]*:states:[a-z0-9-]+:\d{12}:stateMachine:[\w-]{1,80}(:[\w.-]+)?", re.ASCII
)
_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ENDPOINT = re.compile(r"[A-Za-z0-9._-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+:[ -~]*")


def _machine(value: str) -> str:
    if not _MACHINE.fullmatch(value):
        raise ValueError("not the ARN of a state machine")
    return value


def _endpoint(value: str) -> str:
    if not _ENDPOINT.fullmatch(value):
        raise ValueError("not a host and port")
    return value


def _api(value: str) -> str:
    parts = urlsplit(value)
    bare = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in ("http", "https") or not parts.hostname or not bare:
        raise ValueError("not a bare http(s) address")
    return value.rstrip("/")


def _hook(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value().strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ValueError("not an http(s) address")
    return SecretStr(value.get_secret_value().strip())


def _deployment(value: str) -> str:
    flow, slash, name = (part.strip() for part in value.partition("/"))
    if not _ID.fullmatch(value) and not (flow and slash and name):
        raise ValueError("neither an id nor flow/deployment")
    return value


def _queue(value: str) -> str:
    # BullMQ refuses it: it separates the parts of its Redis keys by colons.
    if ":" in value or not value.strip():
        raise ValueError("not a queue's name")
    return value


def redis_address(value: SecretStr) -> SecretStr:
    """The address of a Redis server. Raises `ValueError` for anything else."""
    parts = urlsplit(value.get_secret_value().strip())
    where = parts.path if parts.scheme == "unix" else parts.hostname
    if parts.scheme not in ("redis", "rediss", "unix") or not where:
        raise ValueError("not the address of a Redis server")
    return SecretStr(value.get_secret_value().strip())


def _credential(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not text or not text.isprintable():
        raise ValueError("not a credential")
    return SecretStr(text)


def _signing(value: SecretStr) -> SecretStr:
    signing_key(value.get_secret_value())
    return value


def _rules(value: str) -> str:
    parse_rules(value)
    return value


def _headers(value: SecretStr) -> SecretStr:
    parse_headers(value.get_secret_value())
    return value


def parse_headers(text: str) -> dict[str, str]:
    """The headers in the text, separated by line breaks or semicolons.

    Raises:
        ValueError: one of them is not a header.
    """
    lines = [line.strip() for line in re.split(r"[;\n]", text) if line.strip()]
    if not all(_HEADER.fullmatch(line) for line in lines):
        raise ValueError("not a header such as x-tenant: 7")
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _routes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = _parts(value)
    if any(route.destination not in get_args(Destination) for route in parse_routes(parts)):
        raise ValueError("not a destination")
    return parts


def _rates(value: Any) -> Any:
    if isinstance(value, float | int):
        value = str(value)
    if not isinstance(value, str):
        return value
    parts = _parts(value)
    named = {name for name in parse_rates(parts) if name}
    if not parts or not named <= set(get_args(Destination)):
        raise ValueError("not a rate, or not that of a destination")
    return parts


def _parts(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


MachineArn = Annotated[
    str,
    AfterValidator(_machine),
    Expected(
        "the ARN of a state machine, or of a version or alias of it, such as"
        " arn:aws:states:eu-west-1:123456789012:stateMachine:orders"
    ),
]
Endpoint = Annotated[
    str,
    AfterValidator(_endpoint),
    Expected("a host and a port, such as temporal.example.com:7233"),
]
ApiAddress = Annotated[
    str,
    AfterValidator(_api),
    Expected("an address such as https://api.example.com/api, without user or query"),
]
HookAddress = Annotated[
    SecretStr,
    AfterValidator(_hook),
    Expected("a complete http(s) address, as its owner gave it"),
]
RedisAddress = Annotated[
    SecretStr,
    AfterValidator(redis_address),
    Expected("the address of a Redis server, such as redis://user:password@host:6379/0"),
]
Deployment = Annotated[
    str,
    AfterValidator(_deployment),
    Expected("a deployment's id, or flow/deployment by their names, such as place-order/main"),
]
JobQueueName = Annotated[
    str, AfterValidator(_queue), Expected("the name of a queue, without a colon")
]
Credential = Annotated[
    SecretStr, AfterValidator(_credential), Expected("a credential in one line, as it was issued")
]
SigningKey = Annotated[
    SecretStr,
    AfterValidator(_signing),
    Expected("a Standard Webhooks key: whsec_ and base64, or base64 alone"),
]
Headers = Annotated[
    SecretStr,
    AfterValidator(_headers),
    Expected("headers separated by semicolons, such as x-tenant: 7; x-source: orders"),
]
Statuses = Annotated[
    str,
    AfterValidator(_rules),
    Expected(
        "rules separated by semicolons, such as 409=duplicate; 422=reject; 400/queue is"
        " full/=unavailable, each with one of delivered, duplicate, reject, retry, unavailable,"
        " halt"
    ),
]
Routes = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_routes),
    Expected(
        "patterns of event names with destinations, of which the first match decides, such as"
        " order/*=step-functions,*=inngest"
    ),
]
Rates = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_rates),
    Expected(
        "a number of events a second above 0, such as 20 or 0.5, or one for each destination, such"
        " as webhook=20,step-functions=300"
    ),
]
