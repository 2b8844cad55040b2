"""A port for a process that is started later."""

from __future__ import annotations

import random
import socket

FIRST, LAST = 15_000, 29_999
"""Below the range from which the system itself takes ports when asked for any: nobody is given one
of these between the look and the start."""


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    while True:
        port = random.randint(FIRST, LAST)  # noqa: S311 - no secret
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue  # taken: another one
