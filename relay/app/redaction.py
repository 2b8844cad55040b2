"""The redactor of a process: knows every secret in the settings and in libraries' variables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from pydantic import SecretStr

from relay.gateway.keys import parse_keys
from relay.gateway.webhooks.sources import source_secrets
from relay.http.proxy_variables import PROXY_VARIABLES, proxy_passwords
from relay.output.redaction import Redactor
from relay.output.secret_forms import header_secrets, url_password
from relay.settings.destination_value_types import parse_headers
from relay.settings.model import Settings

AWS_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN")

OTLP_HEADERS = tuple(
    f"OTEL_EXPORTER_OTLP_{signal}HEADERS" for signal in ("", "TRACES_", "METRICS_", "LOGS_")
)
"""`name=value,name=value`, percent-encoded (OpenTelemetry's specification, exporter variables)."""

_SEVERAL = ("webhook_headers", "gateway_keys", "webhooks")
"""Settings with several secrets among other text."""

_CONTAINS_URL = ("PROXY", "ENDPOINT")


def create_redactor(
    settings: Settings | None = None, environ: Mapping[str, str] = os.environ
) -> Redactor:
    """The redactor for these settings and variables. Looked-up secrets are registered later."""
    secrets = [*_of_environment(environ), *(_of_settings(settings) if settings else ())]
    return Redactor(secrets)


def _of_settings(settings: Settings) -> Iterator[str]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr) and name not in _SEVERAL:
            yield value.get_secret_value()
        elif isinstance(value, str) and "://" in value:
            yield from url_password(value)
    if settings.gateway_keys:
        yield from (key for key, _ in parse_keys(settings.gateway_keys.get_secret_value()))
    if settings.webhooks:
        yield from source_secrets(settings.webhooks.get_secret_value())
    if settings.webhook_headers:
        headers = parse_headers(settings.webhook_headers.get_secret_value())
        yield from header_secrets(headers.items())


def _of_environment(environ: Mapping[str, str]) -> Iterator[str]:
    for name, value in environ.items():
        if name in AWS_SECRETS:
            yield value
        elif name in OTLP_HEADERS:
            pairs = [pair.partition("=") for pair in value.split(",")]
            yield from header_secrets((name.strip(), unquote(text)) for name, _, text in pairs)
        elif name.lower() in PROXY_VARIABLES:
            yield from proxy_passwords(value)
        elif "://" in value and any(word in name.upper() for word in _CONTAINS_URL):
            yield from url_password(value)
