"""The texts that give a secret away: the secret, its parts, and its encodings in base64."""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl, quote, unquote, urlsplit

MIN_LENGTH = 6
"""Characters. A shorter secret, such as a dev server's `test`, is a word that texts contain. It is
hidden only where its place shows that it is a secret, such as after `/e/` or `Bearer`."""

_MIN_BASE64 = 7
_LONG_WORD = 20
_WORD = re.compile(r"[A-Z]?[a-z]+(?:[-_./][a-z]+)*|[vV]?[0-9]{1,4}")
"""A part of a URL or a header's value that is an ordinary word, such as `services` or `v1`, unless
it has 20 characters or its name says that it is a secret."""

_SECRET_NAME = re.compile(
    r"auth|code|cookie|cred|key|pass|pwd|secret|session|sig|token", re.IGNORECASE
)
_SCHEMES = ("bearer ", "basic ", "token ")
_PREFIXES = (re.compile(r"signkey-\w+?-"), re.compile(r"whsec_"), re.compile(r"[sp]k_\w+?_"))
"""Beginnings of keys that name their kind. What follows is secret on its own."""


def plain_forms(secret: str) -> frozenset[str]:
    """The texts to hide for this secret in a decoded text: it and its parts."""
    plain = {part for part in parts(secret) if len(part) >= MIN_LENGTH}
    return frozenset(plain | {other for part in plain for other in _other_characters(part)})


def base64_forms(text: str) -> Iterator[str]:
    """Its part of any base64 text that contains it, at each of the three positions in a group."""
    raw = text.encode(errors="surrogatepass")
    for before, skipped in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(b"\0" * before + raw).rstrip(b"=").decode()
        cut = len(encoded) - bool((before + len(raw)) % 3)
        core = encoded[skipped:cut]
        if len(core) >= _MIN_BASE64:
            yield core
            yield core.translate({ord("+"): "-", ord("/"): "_"})


def parts(secret: str) -> frozenset[str]:
    """The secret and what is a secret in it: a URL's password, a header's token, a bare key."""
    text = secret.strip()
    found = {secret, text}
    if "://" in text:
        found.update(_of_url(text))
        return frozenset(found)
    scheme = next((scheme for scheme in _SCHEMES if text.lower().startswith(scheme)), "")
    token = text[len(scheme) :].strip()
    found.add(token)
    if scheme == "basic ":
        with contextlib.suppress(binascii.Error, UnicodeDecodeError):
            token = base64.b64decode(token).decode()
            found.add(token)
    if ":" in token:  # user:password, as in Basic
        found.add(token.partition(":")[2])
    for prefix in _PREFIXES:
        if match := prefix.match(token):
            found.add(token[match.end() :])
    return frozenset(found)


def header_secrets(headers: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The values of headers that are secret: all but ordinary words under ordinary names."""
    for name, value in headers:
        if _is_secret(name, value) and value != "application/json":
            yield value


def _is_secret(name: str, value: str) -> bool:
    word = _WORD.fullmatch(value) and len(value) < _LONG_WORD
    return bool(_SECRET_NAME.search(name)) or not word


def url_password(url: str) -> Iterator[str]:
    """The password of a URL, as it is written and decoded; without one the user, then a token."""
    authority = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
    user, at, _ = authority.rpartition("@")
    if at:
        name, colon, password = user.partition(":")
        given = password if colon else name
        yield from (user, given, unquote(given))


def _of_url(url: str) -> Iterator[str]:
    yield from url_password(url)
    try:
        address = urlsplit(url)
    except ValueError:
        return
    tail = f"{address.path}?{address.query}" if address.query else address.path
    yield from (tail, address.path, address.query)
    for segment in address.path.split("/"):
        if _is_secret("", segment):
            yield from (segment, unquote(segment))
    for name, value in parse_qsl(address.query, keep_blank_values=True):
        if _is_secret(name, value):
            yield value


def _other_characters(text: str) -> Iterator[str]:
    """What unescaping leaves of other characters than ASCII, and of a space in a form."""
    if " " in text:
        yield text.replace(" ", "+")
    if not text.isascii():
        yield quote(text, safe="")
        with contextlib.suppress(UnicodeEncodeError):
            yield text.encode().decode("latin-1")  # percent-encoding escapes each byte
        pairs = text.encode("utf-16-be", "surrogatepass")
        yield "".join(chr(int.from_bytes(pairs[i : i + 2])) for i in range(0, len(pairs), 2))
