"""What needs the extra `otlp`, imported only where the settings ask for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any


class ExtraMissing(Exception):
    """A setting needs libraries that are not installed; the sentence names the extra."""


def import_otlp(module: str, name: str, setting: str) -> Callable[..., Any]:
    """A class of one of our modules that imports OpenTelemetry.

    Raises:
        ExtraMissing: OpenTelemetry is not there.
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


def quiet() -> None:
    """Keep the exporters' own words out of the log."""
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
