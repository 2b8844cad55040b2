"""The audit line of a command that changes something: who ran it, when, on what and why."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from relay.app.redaction import create_redactor
from relay.dlq.journal import who
from relay.settings.model import Settings
from relay.telemetry.log import open_log

__all__ = ["now", "who", "write_audit"]

LOGGER = "relay.audit"


def now() -> str:
    """The time for an audit line, in UTC and ISO 8601."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")


def write_audit(settings: Settings, line: Mapping[str, Any]) -> None:
    """Write the line to the log: `RELAY_LOG_FILE`, or standard error."""
    with open_log(
        service=settings.service,
        log_format=settings.log_format,
        file=Path(settings.log_file) if settings.log_file else None,
        redactor=create_redactor(settings),  # an option may hold one
        screen=sys.stderr,
    ):
        logging.getLogger(LOGGER).info("%s", json.dumps(line))
