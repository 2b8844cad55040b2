"""The audit line of what removes dead letters: in the run's journal, and in the log."""

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

AUDIT = "relay.dlq.audit"
"""The logger of the audit line."""


def audit(
    settings: Settings, journal: Journal, command: str, options: Mapping[str, Any], counts: Counts
) -> None:
    """Record who did what to which queue, when and with what result.

    It goes to the journal, and to the log: `RELAY_LOG_FILE`, or standard error. Standard error that
    is a terminal gets none: the person there sees the result itself.
    """
    line = {
        "audit": f"dlq {command}",
        "by": who(),
        "at": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds"),
        "run": journal.id,
        "journal": str(journal.directory.resolve()),
        **{name: value for name, value in options.items() if value},
        **counts.as_json(),
    }
    with suppress(OSError):  # a full disk was reported already
        journal.record(audit=line)
    if settings.log_file or not is_terminal(err=True):
        _log(settings, json.dumps(line))


def _log(settings: Settings, line: str) -> None:
    with open_log(
        service=settings.service,
        log_format=settings.log_format,
        file=Path(settings.log_file) if settings.log_file else None,
        redactor=create_redactor(settings),  # an option may hold one
        screen=sys.stderr,
    ):
        logging.getLogger(AUDIT).info("%s", line)
