"""The limits of the HTTP server: what a client may send, and how long it may take."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

HEAD_BYTES = 1_310_720
"""Bytes of a request's first line and headers. In push mode a message's attributes, up to a
mebibyte, are headers."""

HEADERS = 100
"""Headers of a request. A message has at most ten attributes; sqsd and nginx add about twenty."""

REQUEST_TIMEOUT = 60.0
"""Seconds from the first byte of a request, or from the opening of the connection, to its end."""

WRITE_TIMEOUT = 30.0
"""Seconds for which a client may take nothing of a response that does not fit the socket."""

PIPELINED = 8
"""Requests that a client may send ahead of the responses. nginx sends none."""

PIPELINED_READS = 16
"""Reads in which the head of such a request must be complete."""

UNFINISHED_BYTES = 64 * 1_048_576
"""Bytes of requests that have not arrived completely, of all connections together."""

SURPLUS = 32
"""Connections above the limit that are answered 503. Even more are closed."""

LOG_EVERY = 60.0
"""Seconds between two log lines about the same limit."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class ServerLimits:
    """What the connections of one server share.

    Args:
        connections: the most connections. When there are more, those that wait for a request are
            closed, those that never sent one first. With as many requests under way, more are
            answered 503.
        request_timeout: seconds for a request to arrive.
        clock: seconds, for the distance of log lines.
    """

    connections: int
    request_timeout: float = REQUEST_TIMEOUT
    clock: Callable[[], float] = time.monotonic
    unfinished: int = 0
    _logged_at: dict[str, float] = field(default_factory=dict)

    def log(self, sentence: str, *values: object) -> None:
        """Log a limit that was reached, at most once a minute."""
        now = self.clock()
        if now - self._logged_at.get(sentence, float("-inf")) >= LOG_EVERY:
            self._logged_at[sentence] = now
            _log.warning(sentence, *values, extra={"code": "http_limit"})
