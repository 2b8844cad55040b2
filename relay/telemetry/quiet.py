"""OpenTelemetry's exporters log every failed try; ours are counted, and told at start and end."""

from __future__ import annotations

import logging


def quiet() -> None:
    """Keep the exporters' own words out of the log."""
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
