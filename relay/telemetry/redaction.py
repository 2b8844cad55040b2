"""Removes secrets from every log line, as the last step before it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

HIDDEN = "***"

MIN_LENGTH = 8
"""Characters. A shorter secret, such as a dev server's `test`, is a word that lines contain."""

_PATTERNS = (
    # The event key is the last part of the event API's URL.
    ("/e/", re.compile(r"(/e/)[^\s/?#\"'<>\\]+"), rf"\1{HIDDEN}"),
    # User and password, or a token, before a host name.
    ("://", re.compile(r"(://)[^\s/@\"'<>\\]+@"), rf"\1{HIDDEN}@"),
    # The query of a URL: signatures, tokens, whatever a presigned URL contains.
    ("://", re.compile(r"(https?://[^\s?\"'<>\\]+\?)[^\s\"'<>\\#]+"), rf"\1{HIDDEN}"),
    ("bearer", re.compile(r"(?i)\b(bearer[ \t]+)[\w.~+/=-]+"), rf"\1{HIDDEN}"),
    ("signkey-", re.compile(r"(?i)\b(signkey-\w+-)[\w.~+/=-]+"), rf"\1{HIDDEN}"),
    ("akia", re.compile(r"\bAKIA[A-Z0-9]{16}\b"), HIDDEN),
    ("asia", re.compile(r"\bASIA[A-Z0-9]{16}\b"), HIDDEN),
)
"""Patterns of secrets, each with a lowercase string that every match contains. Searching for the
string first is 20 times faster if there is no match."""


class Redactor:
    """Replaces registered secrets, and text that looks like a secret by its context, with `***`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: tuple[str, ...] = ()
        self._raw: tuple[bytes, ...] = ()
        for secret in secrets:
            self.register_secret(secret)

    def __repr__(self) -> str:
        return f"Redactor({HIDDEN})"

    def register_secret(self, secret: str) -> None:
        """Redact this from now on: as it is, as quoted in a URL, and as escaped in JSON."""
        if len(secret) >= MIN_LENGTH:
            in_json = (json.dumps(secret, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False))
            forms = {*self._forms, secret, quote(secret, safe=""), *in_json}
            self._forms = tuple(sorted(forms, key=len, reverse=True))
            self._raw = tuple(form.encode(errors="replace") for form in self._forms)

    def redact(self, text: str) -> str:
        """The text without secrets."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        lower = text.lower()
        for hint, pattern, replacement in _PATTERNS:
            if hint in lower:
                text = pattern.sub(replacement, text)
        return text

    def redact_own(self, text: bytes) -> bytes:
        """`redact` for lines in which only ids can contain a URL, which is cheaper to check."""
        may_match = (b"?" in text or b"@" in text) and b"://" in text
        if may_match or any(map(text.__contains__, self._raw)):
            return self.redact(text.decode()).encode()
        return text
