"""Handlers for the local function; each is run in a process of its own."""

from __future__ import annotations

import os
import time
from typing import Any

CALLS = 0


def describe(event: Any, context: Any) -> dict[str, Any]:
    """What the process and the context say."""
    global CALLS  # noqa: PLW0603 - counts the calls of this process
    CALLS += 1
    return {
        "event": event,
        "pid": os.getpid(),
        "calls": CALLS,
        "remaining": context.get_remaining_time_in_millis(),
        "request_id": context.aws_request_id,
    }


def fail(event: Any, context: Any) -> None:
    raise ValueError(f"cannot handle {event}")


def hang(event: Any, context: Any) -> None:
    time.sleep(600)


def leave(event: Any, context: Any) -> None:
    os._exit(1)
