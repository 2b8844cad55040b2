"""Removes secrets from every text that leaves the process: logs, reasons, answers, `/ready`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from relay.output.decoded_text import layers
from relay.output.secret_forms import MIN_LENGTH, base64_forms, plain_forms

HIDDEN = "***"

MOST_LOOKED_UP = 16
"""Looked-up secrets to remember: after a rotation the old key still appears in answers."""

_PATTERNS = (
    # The event key is the last part of the event API's URL.
    ("/e/", re.compile(r"(/e/)[^\s/?#\"'<>\\]++"), rf"\1{HIDDEN}"),
    # User and password, or a token, before a host name. Ends at the next "://" at the latest.
    ("://", re.compile(r"(://)[^\s/@\"'<>\\]++@"), rf"\1{HIDDEN}@"),
    # The query of a URL: signatures, tokens, whatever a presigned URL contains. A URL without a
    # query matches too: else the search would start again at every URL inside it.
    ("://", re.compile(r"(https?://[^\s?\"'<>\\]*+)(?:(\?)[^\s\"'<>\\#]++)?"), None),
    ("bearer", re.compile(r"(?i)\b(bearer[ \t]++)[\w.~+/=-]++"), rf"\1{HIDDEN}"),
    ("signkey-", re.compile(r"(?i)\b(signkey-\w++-)[\w.~+/=-]++"), rf"\1{HIDDEN}"),
    # AWS's answer to a wrong signature repeats the request's headers. A token of a role is in no
    # setting. Only whole escapes are taken, so that JSON stays valid.
    (
        "x-amz-security-token",
        re.compile(
            r"(?i)(x-amz-security-token[\"'\\]*+\s*+[:=,]\s*+b?[\"'\\]*+)(?:[\w+/=%.-]|\\/)++"
        ),
        rf"\1{HIDDEN}",
    ),
    ("akia", re.compile(r"\bAKIA[A-Z0-9]{16}\b"), HIDDEN),
    ("asia", re.compile(r"\bASIA[A-Z0-9]{16}\b"), HIDDEN),
)
"""Patterns of secrets, each with a lowercase string that every match contains. Searching for the
string first is 20 times faster if there is no match. None of them backtracks."""

_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")


class Redactor:
    """Replaces secrets by `***`, in whatever form they are: plain, escaped, quoted or in base64.

    Escaped is as in JSON, a URL, HTML or a `repr`, also one inside another and in parts only. A
    secret of less than `MIN_LENGTH` characters is hidden by `redact` where its context shows it.

    Args:
        secrets: known from the start, such as those of the settings.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._permanent = {secret: plain_forms(secret) for secret in secrets if secret}
        self._looked_up: dict[str, frozenset[str]] = {}
        self._set_forms()

    def __repr__(self) -> str:
        return f"Redactor({HIDDEN})"

    def register_secret(self, secret: str) -> None:
        """Redact this one too from now on, with the last few that were registered."""
        if not secret or secret in self._permanent or secret in self._looked_up:
            return
        kept = list(self._looked_up.items())[1 - MOST_LOOKED_UP :]
        self._looked_up = {**dict(kept), secret: plain_forms(secret)}
        self._set_forms()

    def redact(self, text: str) -> str:
        """The text without known secrets, and without what looks like one by its context."""
        text = self.redact_known(text)
        lower = text.lower()
        for hint, pattern, replacement in _PATTERNS:
            if hint in lower:
                text = pattern.sub(replacement or _without_query, text)
        return text

    def redact_known(self, text: str) -> str:
        """The text without known secrets; all else is unchanged, so JSON can still be parsed."""
        found = sorted(self._spans(text))
        if not found:
            return text
        pieces, end = list[str](), 0
        for start, stop in found:
            if start >= end:
                pieces += text[end:start], HIDDEN
            end = max(end, stop)
        pieces.append(text[end:])
        return "".join(pieces)

    def redact_own(self, text: bytes) -> bytes:
        """`redact` for lines in which only ids can contain a URL, which is cheaper to check."""
        may_match = (b"?" in text or b"@" in text) and b"://" in text
        if may_match or any(map(text.__contains__, self._raw)) or self._is_escaped_in(text):
            return self.redact(text.decode()).encode()
        return text

    def _is_escaped_in(self, text: bytes) -> bool:
        if not (b"\\" in text or b"%" in text or b"&" in text):
            return False
        decoded = islice(layers(text.decode()), 1, None)
        return any(form in layer.text for layer in decoded for form in self._shortest)

    def _set_forms(self) -> None:
        known = {**self._permanent, **self._looked_up}
        plain = frozenset[str]().union(*known.values())
        encoded = frozenset(form for text in plain for form in base64_forms(text)) - plain
        self._plain, self._encoded = tuple(plain), tuple(encoded)
        self._longest = max(map(len, plain), default=0)
        self._short = tuple(f"/e/{secret}" for secret in known if len(secret) < MIN_LENGTH)
        # A text with a longer form contains the shorter ones in it too.
        self._shortest = tuple(a for a in plain if not any(b in a for b in plain if b != a))
        self._raw = tuple(form.encode(errors="replace") for form in self._shortest)

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Ranges of the text with a secret in them. They may overlap."""
        decoded = list(layers(text))
        for layer in decoded:
            for start, end in self._hits(layer.text):
                first, last = layer.source(start, end)
                yield decoded[1].widened(first, last) if len(decoded) > 1 else (first, last)

    def _hits(self, text: str) -> Iterator[tuple[int, int]]:
        # Almost every search finds nothing, so it must cost nothing but the search.
        for form in [form for form in self._plain if form in text]:
            yield from _found(text, form)
        for form in [form for form in self._encoded if form in text]:
            yield from (_whole_base64(text, *hit) for hit in _found(text, form))
        for form in [form for form in self._short if form in text]:
            yield from ((start + len("/e/"), end) for start, end in _found(text, form))
        last = text[-self._longest :]
        for form in [form for form in self._plain if form[:MIN_LENGTH] in last]:
            yield from _cut_off(text, form)


def _found(text: str, form: str) -> Iterator[tuple[int, int]]:
    start = text.find(form)
    while start >= 0:
        yield start, start + len(form)
        start = text.find(form, start + len(form))


def _cut_off(text: str, form: str) -> Iterator[tuple[int, int]]:
    """The beginning of a secret at the end of a text that was cut to a length."""
    at = text.find(form[:MIN_LENGTH], max(0, len(text) - len(form)))
    while at >= 0:
        if form.startswith(text[at:].rstrip("….")):
            yield at, len(text)
        at = text.find(form[:MIN_LENGTH], at + 1)


def _whole_base64(text: str, start: int, end: int) -> tuple[int, int]:
    """The base64 text around a hit: its ends hold the rest of the secret, and what is beside it."""
    most = 4 * (end - start)
    first, last = max(0, start - most), min(len(text), end + most)
    while start > first and text[start - 1] in _BASE64:
        start -= 1
    while end < last and text[end] in _BASE64:
        end += 1
    return start, end


def _without_query(url: re.Match[str]) -> str:
    return f"{url[1]}?{HIDDEN}" if url[2] else url[0]
