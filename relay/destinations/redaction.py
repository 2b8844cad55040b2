"""Keeps secrets that travel in URLs out of sentences, logs and exceptions."""

from __future__ import annotations

import logging
from urllib.parse import quote

HIDDEN = "***"

LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)
"""A filter sees only what is logged to its own logger, not to those below it."""

_UNMISTAKABLE = 8
"""Characters. A shorter key, such as a dev server's `test`, is also a word in other sentences."""

_KEPT = 4


class Redaction(logging.Filter):
    """Hides the event keys used lately: after a rotation the old one is still in answers.

    `with` installs it as a filter of the HTTP client's loggers.
    """

    def __init__(self) -> None:
        super().__init__()
        self._secrets: list[str] = []

    def __repr__(self) -> str:
        return f"Redaction({HIDDEN})"

    def __enter__(self) -> None:
        for name in LOGGERS:
            logging.getLogger(name).addFilter(self)

    def __exit__(self, *_: object) -> None:
        for name in LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def register_secret(self, secret: str) -> None:
        """Hide this from now on."""
        if secret and secret not in self._secrets:
            self._secrets = [*self._secrets[1 - _KEPT :], secret]

    def hide(self, text: str) -> str:
        """The text without any of the secrets, plain or as they are quoted in a URL."""
        for secret in self._secrets:
            for form in {secret, quote(secret, safe="")}:
                text = text.replace(f"/e/{form}", f"/e/{HIDDEN}")
                if len(form) >= _UNMISTAKABLE:
                    text = text.replace(form, HIDDEN)
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, its message made safe."""
        message = record.getMessage()
        hidden = self.hide(message)
        if hidden != message:
            record.msg, record.args = hidden, None
        return True
