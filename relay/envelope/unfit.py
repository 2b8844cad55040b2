"""What ends the reading of a message, or of one event among several."""

from __future__ import annotations

from relay.message import Reject


class Unfit(Exception):
    """Raised inside this package only; `decode` and the reader of arrays turn it into `reject`."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.reject = Reject(code, reason)
