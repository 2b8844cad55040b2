"""Encoding of message bodies that SQS does not accept, and decoding them again.

The names of encodings that start with `truncated` mark a body of which only the beginning was kept.
"""

from __future__ import annotations

import base64
import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that SQS refuses (Amazon SQS API reference, SendMessage)."""

_EMPTY_BODY = "(empty)"
"""Sent in place of an empty body, which SQS refuses too."""

UNPACKED_LIMIT = 1_048_576
"""Bytes of the largest body that is unpacked. Amazon SQS quota: no message was ever larger, so the
relay packed no larger one. Its ratio is not limited: a megabyte of blanks is an honest body, and
shrinks to a kilobyte."""

COMPRESSED = "gzip+base64"

_GZIP = 16 + zlib.MAX_WBITS
"""zlib's number for a gzip header and trailer."""


class UnpackedTooLarge(ValueError):
    """The body is larger, when unpacked, than any message can be."""


_TRUNCATED = "truncated"
LONGEST_ENCODING = f"{_TRUNCATED}+gzip+base64"


class Truncated(ValueError):
    """Only the beginning of the body was kept."""


def is_truncated(encoding: str | None) -> bool:
    """Whether only the beginning of a body with this encoding was kept."""
    return encoding is not None and encoding.startswith(_TRUNCATED)


def encoding_candidates(
    body: bytes, encoding: str | None, *, plain: bool = True
) -> Iterator[tuple[str, str | None]]:
    """The body in each encoding to try, best first, with the encoding's name; None is plain text.

    A body that is already encoded, as `encoding` says, is returned unchanged. Without `plain` the
    text is ASCII in any case.
    """
    if encoding is not None:
        yield body.decode("ascii", "replace"), encoding
    elif not body:
        yield _EMPTY_BODY, "empty"
    else:
        text = _plain_text(body) if plain else None
        yield (text, None) if text is not None else (_base64(body), "base64")
        yield _base64(gzip.compress(body, mtime=0)), COMPRESSED


def decode_body(body: bytes, encoding: str | None) -> bytes:
    """The original body.

    Raises:
        Truncated: only the beginning is there; see `stored_beginning`.
        UnpackedTooLarge: it has more than `UNPACKED_LIMIT` bytes. No more than that is unpacked.
        ValueError: the body is damaged, or its encoding is unknown.
    """
    if encoding is None:
        return body
    if is_truncated(encoding):
        raise Truncated(
            "the dead-letter queue had no room for its whole body: only the beginning was kept"
        )
    if encoding == "empty":
        return b""
    if encoding == "base64":
        return base64.b64decode(body, validate=True)
    if encoding == COMPRESSED:
        return _gunzip(base64.b64decode(body, validate=True))
    raise ValueError(f"the body's encoding {encoding[:40]!r} is unknown")


@dataclass(frozen=True, slots=True)
class Beginning:
    """The beginning of a body as SQS can hold it: `size` bytes of `total`."""

    body: str
    encoding: str
    size: int
    total: int


def beginning_of(body: bytes, encoding: str | None, room: int) -> Beginning | None:
    """As much of the original body as fits into `room` bytes; None if nothing does.

    As text where that keeps as much as the compressed form, because a person may read it.
    """
    original = _original(body, encoding)
    found = [one for one in (_as_text(original, room), _compressed(original, room)) if one.size]
    return max(found, key=lambda one: one.size, default=None)


def stored_beginning(body: bytes, encoding: str | None) -> bytes:
    """The bytes of the original that a truncated body has; what is damaged is left out."""
    if not is_truncated(encoding):
        return body
    if encoding != LONGEST_ENCODING:
        return body
    try:
        return _inflated(base64.b64decode(body))
    except ValueError:
        return b""


def _original(body: bytes, encoding: str | None) -> bytes:
    """The original body, as far as it can be restored."""
    try:
        return decode_body(body, encoding)
    except Truncated:
        return stored_beginning(body, encoding)
    except ValueError:
        return body


def _as_text(body: bytes, room: int) -> Beginning:
    text = body[: max(0, room)].decode("utf-8", "ignore")
    kept = text.encode()
    # A cut character at the end is left out; anything else that is left out is not UTF-8.
    if not body.startswith(kept) or len(kept) < min(len(body), room) - 3 or not sqs_accepts(text):
        return Beginning("", _TRUNCATED, 0, len(body))
    return Beginning(text, _TRUNCATED, len(kept), len(body))


def _compressed(body: bytes, room: int) -> Beginning:
    packed = gzip.compress(body, mtime=0)[: max(0, room) // 4 * 3]
    return Beginning(_base64(packed), LONGEST_ENCODING, len(_inflated(packed)), len(body))


def _inflated(packed: bytes) -> bytes:
    """What the beginning of gzip data holds, up to `UNPACKED_LIMIT`."""
    try:
        return zlib.decompressobj(wbits=31).decompress(packed, UNPACKED_LIMIT)
    except zlib.error:
        return b""


def sqs_accepts(text: str) -> bool:
    """Whether SQS accepts every character of the text."""
    return not _FORBIDDEN.search(text)


def _plain_text(body: bytes) -> str | None:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return text if sqs_accepts(text) else None


def _base64(body: bytes) -> str:
    return base64.b64encode(body).decode("ascii")


def _gunzip(packed: bytes) -> bytes:
    """The content of the single gzip member that `encoding_candidates` makes."""
    unpacking = zlib.decompressobj(_GZIP)
    try:
        body = unpacking.decompress(packed, UNPACKED_LIMIT + 1)
    except zlib.error as error:
        raise ValueError("the compressed body is damaged") from error
    if len(body) > UNPACKED_LIMIT:
        raise UnpackedTooLarge(
            f"the compressed body unpacks to more than the {UNPACKED_LIMIT} bytes that a message"
            " can have"
        )
    if not unpacking.eof:
        raise ValueError("the compressed body is incomplete")
    if unpacking.unused_data:
        raise ValueError("something follows the compressed body")
    return body
