"""Progress on stderr, with the time since the start."""

from __future__ import annotations

import sys
import time

_START = time.monotonic()


def say(text: str) -> None:
    """Report progress."""
    minutes, seconds = divmod(int(elapsed()), 60)
    print(f"{minutes:2}:{seconds:02} {text}", file=sys.stderr, flush=True)


def elapsed() -> float:
    """Seconds since the start of the program."""
    return time.monotonic() - _START
