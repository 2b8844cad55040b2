"""Logs refused requests: the first of each kind, and then at most one line a minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from relay.gateway.answers import Refused

EVERY = 60.0
"""Seconds between two lines about the same code and key: anybody can send bad requests."""

WEBHOOK = "webhook:"
"""What the names of webhook sources begin with, among the names of event keys."""

_log = logging.getLogger(__name__)


class RefusalLog:
    """Writes a line for the first refusal of a code and key, with the number since the last line.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written: dict[tuple[str, str], float] = {}
        self._unwritten: dict[tuple[str, str], int] = {}

    def note(self, refused: Refused, key: str) -> None:
        """A request was refused. `key` is the name of its event key, empty if that is unknown."""
        kind, now = (refused.code, key), self._clock()
        count = self._unwritten.pop(kind, 0) + 1
        if now - self._written.get(kind, float("-inf")) < EVERY:
            self._unwritten[kind] = count
            return
        self._written[kind] = now
        _log.warning(
            "%d of the gateway's requests refused with %d, of %s: %s",
            count,
            refused.status,
            _sender(key),
            refused,
            extra={"code": refused.code},
        )


def _sender(key: str) -> str:
    source = key.removeprefix(WEBHOOK)
    if source != key:
        return f"the webhook source {source}"
    return f"the key {key}" if key else "no known key"
