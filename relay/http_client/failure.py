"""Why there is no answer: the two cases differ in what the server can have got."""

from __future__ import annotations


class NotConnected(ConnectionError):
    """No connection came about, so that nothing was sent; `__cause__` says why."""


class Interrupted(ConnectionError):
    """The connection ended, or spoke no HTTP, before a whole answer: the request may have arrived.

    Args:
        reason: a phrase for a person, free of anything that was sent or received.
        cause: the operating system's or the parser's error, None for a plain close.
    """

    def __init__(self, reason: str, cause: BaseException | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.__cause__ = cause
