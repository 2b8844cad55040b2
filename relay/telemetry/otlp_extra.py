"""Imports of what needs the extra `otlp`, done only if the settings select it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from relay.http.tls import CA_DIR, CA_FILE

_CA_VARIABLES = (
    *(f"OTEL_EXPORTER_OTLP_{signal}CERTIFICATE" for signal in ("", "METRICS_", "TRACES_")),
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)


class ExtraMissing(Exception):
    """A setting needs libraries that are not installed. The text names the extra to install."""


def import_otlp(module: str, name: str, setting: str) -> Callable[..., Any]:
    """The class `name` of one of our modules that import OpenTelemetry.

    Raises:
        ExtraMissing: OpenTelemetry is not installed.
    """
    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise ExtraMissing(
            f"{setting} needs OpenTelemetry, which is not installed: pip install 'sqs-relay[otlp]'"
        ) from error
    return found


def trusted_file(environ: Mapping[str, str] = os.environ) -> str | None:
    """The certificates for the exporters to trust: they read no `SSL_CERT_FILE` by themselves.

    None if a variable that they read names them.
    """
    if any(map(environ.get, _CA_VARIABLES)):
        return None
    return environ.get(CA_FILE) or environ.get(CA_DIR) or None


def silence_exporters() -> None:
    """Keep the log records of OpenTelemetry's exporters out of the log; failures are counted."""
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
