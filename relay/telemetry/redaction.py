"""Keeps secrets out of whatever is told, as the last door that every line goes through."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

HIDDEN = "***"

SHORTEST = 8
"""Characters. A shorter secret, such as a dev server's `test`, is also a word in other lines."""

_PATTERNS = (
    # An event key is the last part of the event API's address.
    ("/e/", re.compile(r"(/e/)[^\s/?#\"'<>\\]+"), rf"\1{HIDDEN}"),
    # User and password, or a token, before a host.
    ("://", re.compile(r"(://)[^\s/@\"'<>\\]+@"), rf"\1{HIDDEN}@"),
    # The query of an address: signatures, tokens, whatever a presigned one holds.
    ("://", re.compile(r"(https?://[^\s?\"'<>\\]+\?)[^\s\"'<>\\#]+"), rf"\1{HIDDEN}"),
    ("bearer", re.compile(r"(?i)\b(bearer[ \t]+)[\w.~+/=-]+"), rf"\1{HIDDEN}"),
    ("signkey-", re.compile(r"(?i)\b(signkey-\w+-)[\w.~+/=-]+"), rf"\1{HIDDEN}"),
    ("akia", re.compile(r"\bAKIA[A-Z0-9]{16}\b"), HIDDEN),
    ("asia", re.compile(r"\bASIA[A-Z0-9]{16}\b"), HIDDEN),
)
"""What looks like a secret, and what it has in small letters: finding that first is 20 times faster
where there is none."""


class Redactor:
    """Hides the secrets that it was told, and what looks like one by the place where it stands."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: tuple[str, ...] = ()
        self._raw: tuple[bytes, ...] = ()
        for secret in secrets:
            self.register_secret(secret)

    def __repr__(self) -> str:
        return f"Redactor({HIDDEN})"

    def register_secret(self, secret: str) -> None:
        """Hide this from now on, plain or as it is quoted in an address or in JSON."""
        if len(secret) >= SHORTEST:
            in_json = (json.dumps(secret, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False))
            forms = {*self._forms, secret, quote(secret, safe=""), *in_json}
            self._forms = tuple(sorted(forms, key=len, reverse=True))
            self._raw = tuple(form.encode(errors="replace") for form in self._forms)

    def hide(self, text: str) -> str:
        """The text without secrets."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        small = text.lower()
        for mark, pattern, replacement in _PATTERNS:
            if mark in small:
                text = pattern.sub(replacement, text)
        return text

    def hide_from_ours(self, text: bytes) -> bytes:
        """The same for lines of our own making: cheaper, for only ids can hold an address."""
        doubtful = (b"?" in text or b"@" in text) and b"://" in text
        if doubtful or any(map(text.__contains__, self._raw)):
            return self.hide(text.decode()).encode()
        return text
