"""The audit line of a command that changes something: who ran it, when, on what and why."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from relay.app.redaction import create_redactor
from relay.dlq.journal import Journal, who
from relay.dlq.selection import Counts
from relay.output.terminal import is_terminal
from relay.settings.model import Settings
from relay.telemetry.log import open_log

AUDIT = "relay.audit"
"""The logger of the audit line."""


def audit(
    settings: Settings,
    journal: Journal,
    command: str,
    options: Mapping[str, Any],
    counts: Counts,
    *,
    group: str = "dlq",
) -> None:
    """Record who did what to which queue, and with what result: in the journal and in the log."""
    line = {
        "audit": f"{group} {command}",
        "by": who(),
        "at": now(),
        "run": journal.id,
        "journal": str(journal.directory.resolve()),
        **{name: value for name, value in options.items() if value},
        **counts.as_json(),
    }
    with suppress(OSError):  # a full disk was reported already
        journal.record(audit=line)
    write_audit(settings, line)


def now() -> str:
    """The time for an audit line, in UTC and ISO 8601."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")


def write_audit(settings: Settings, line: Mapping[str, Any]) -> None:
    """Write the line to the log: `RELAY_LOG_FILE`, or standard error.

    Standard error that is a terminal gets none: the person there sees the result itself.
    """
    if not settings.log_file and is_terminal(err=True):
        return
    with open_log(
        service=settings.service,
        log_format=settings.log_format,
        file=Path(settings.log_file) if settings.log_file else None,
        redactor=create_redactor(settings),  # an option may hold one
        screen=sys.stderr,
    ):
        logging.getLogger(AUDIT).info("%s", json.dumps(line))
