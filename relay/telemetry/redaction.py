"""Keeps secrets out of whatever is told, as the last door that every line goes through."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

HIDDEN = "***"

SHORTEST = 8
"""Characters. A shorter secret, such as a dev server's `test`, is also a word in other lines."""

_PATTERNS = (
    # An event key is the last part of the event API's address.
    (re.compile(r"(/e/)[^\s/?#\"'<>\\]+"), rf"\1{HIDDEN}"),
    # User and password, or a token, before a host.
    (re.compile(r"(://)[^\s/@\"'<>\\]+@"), rf"\1{HIDDEN}@"),
    # The query of an address: signatures, tokens, whatever a presigned one holds.
    (re.compile(r"(https?://[^\s?\"'<>\\]+\?)[^\s\"'<>\\#]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b(bearer\s+|signkey-\w+-)[\w.~+/=-]+"), rf"\1{HIDDEN}"),
    (re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"), HIDDEN),
)
_SUSPICIOUS = re.compile(r"/e/|://|(?i:bearer|signkey-)|AKIA|ASIA")


class Redactor:
    """Hides the secrets that it was told, and what looks like one by the place where it stands."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: tuple[str, ...] = ()
        for secret in secrets:
            self.learn(secret)

    def __repr__(self) -> str:
        return f"Redactor({HIDDEN})"

    def learn(self, secret: str) -> None:
        """Hide this from now on, plain or as it is quoted in an address."""
        if len(secret) >= SHORTEST:
            forms = {*self._forms, secret, quote(secret, safe="")}
            self._forms = tuple(sorted(forms, key=len, reverse=True))

    def hide(self, text: str) -> str:
        """The text without secrets."""
        text = self._hide_known(text)
        if _SUSPICIOUS.search(text):
            for pattern, replacement in _PATTERNS:
                text = pattern.sub(replacement, text)
        return text

    def hide_from_ours(self, text: str) -> str:
        """The same for a line of our own making: cheaper, for only ids can hold an address."""
        return self.hide(text) if "://" in text else self._hide_known(text)

    def _hide_known(self, text: str) -> str:
        for form in self._forms:
            if form in text:
                text = text.replace(form, HIDDEN)
        return text
