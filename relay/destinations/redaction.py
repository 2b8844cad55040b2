"""Redacts secrets that are part of URLs from error messages, logs and exceptions."""

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
"""All loggers by name: a filter applies to its own logger, not to child loggers."""

_MIN_CHARACTERS = 8
"""A shorter key, such as a dev server's `test`, is hidden in URLs only: it may be a usual word."""

_MAX_SECRETS = 4


class Redaction(logging.Filter):
    """Hides the last four secrets: after a rotation the old key still appears in answers.

    As a context manager it is a filter of the HTTP client's loggers.
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
        """Hide this secret from now on."""
        if secret and secret not in self._secrets:
            self._secrets = [*self._secrets[1 - _MAX_SECRETS :], secret]

    def hide(self, text: str) -> str:
        """The text with each secret replaced, plain or URL-quoted."""
        for secret in self._secrets:
            for form in {secret, quote(secret, safe="")}:
                text = text.replace(f"/e/{form}", f"/e/{HIDDEN}")
                if len(form) >= _MIN_CHARACTERS:
                    text = text.replace(form, HIDDEN)
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record's message and let it through."""
        message = record.getMessage()
        hidden = self.hide(message)
        if hidden != message:
            record.msg, record.args = hidden, None
        return True
