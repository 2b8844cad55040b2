"""The settings of `relay gateway`."""

from __future__ import annotations

import json
import re
from typing import Annotated

from pydantic import AfterValidator, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from relay.settings.value_types import BucketName, Expected, PathExpression, Seconds, Size

_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}=[!-\"$&-+.0->@-~-]{1,256}", re.ASCII)
"""A name and a key. A key is a part of a URL's path, so some characters cannot be in it."""


def _gateway_keys(value: SecretStr) -> SecretStr:
    parts = [part.strip() for part in value.get_secret_value().split(",") if part.strip()]
    if not parts or not all(map(_KEY.fullmatch, parts)):
        raise ValueError("not names and keys")
    names, keys = zip(*(part.split("=", 1) for part in parts), strict=True)
    if len(set(names)) < len(parts) or len(set(keys)) < len(parts):
        raise ValueError("a name or key occurs twice")
    return SecretStr(",".join(parts))


GatewayKeys = Annotated[
    SecretStr,
    AfterValidator(_gateway_keys),
    Expected(
        "names with their event keys, such as web=Yk3nQ7aB,billing=T9sL2mXc, each name and key once"
    ),
]


def _webhooks(value: SecretStr) -> SecretStr:
    try:
        sources = json.loads(value.get_secret_value())
    except (ValueError, RecursionError):
        sources = None
    if not isinstance(sources, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - pydantic wants a ValueError
    return value


WebhookSources = Annotated[
    SecretStr,
    AfterValidator(_webhooks),
    Expected('a JSON object of webhook sources, such as {"stripe": {"secrets": ["whsec_…"]}}'),
]


class GatewaySettings(BaseSettings):
    """The settings of the gateway. Part of `Settings`."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    gateway_keys: GatewayKeys | None = None
    """The event keys that `relay gateway` accepts, each with a name for logs and metrics, as in
    `web=Yk3nQ7aB,billing=T9sL2mXc`."""
    gateway_key_store: str | None = None
    """The document of event keys that `relay gateway key` writes: the path of a file, the ARN of a
    secret, or `ssm:` and a parameter's name. It is read again every `RELAY_SECRET_MAX_AGE` seconds,
    a file every 5, and when an unknown key is sent, a secret then at most every 10 seconds."""
    webhooks: WebhookSources | None = None
    """The senders whose webhooks the gateway accepts at `/webhooks/NAME`: a JSON object such as
    `{"stripe": {"secrets": ["whsec_…"]}}`; see docs/webhooks.md. A secret may be the ARN of one."""
    gateway_bucket: BucketName | None = None
    """The S3 bucket that keeps events that are too large for the queue. The relay must have it in
    `RELAY_PAYLOAD_BUCKETS`. If not set, such an event is refused with 413."""
    gateway_group_path: PathExpression | None = None
    """A JMESPath to the message group of an event, such as `data.customer`: the order on a FIFO
    queue, the tenant on a standard queue."""
    gateway_timeout: Seconds = 5.0
    """Seconds in which SQS must have confirmed all events of a request. It is then answered 503."""
    gateway_max_request_bytes: Size = 8_388_608
    """The most bytes of one request to the gateway."""
    gateway_max_in_flight_bytes: Size = 67_108_864
    """The most memory that all requests together take, at four times their size. Above it requests
    are answered 503. Webhooks take at most half of it."""
