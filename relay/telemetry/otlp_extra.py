"""Imports of what needs the extra `otlp`, done only if the settings select it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any


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


def silence_exporters() -> None:
    """Keep the log records of OpenTelemetry's exporters out of the log; failures are counted."""
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
