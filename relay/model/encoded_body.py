"""Encoding of message bodies that SQS does not accept, and decoding them again."""

from __future__ import annotations

import base64
import gzip
import re
import zlib
from collections.abc import Iterator

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


def encoding_candidates(body: bytes, encoding: str | None) -> Iterator[tuple[str, str | None]]:
    """The body in each encoding to try, best first, with the encoding's name; None is plain text.

    A body that is already encoded, as `encoding` says, is returned unchanged.
    """
    if encoding is not None:
        yield body.decode("ascii", "replace"), encoding
    elif not body:
        yield _EMPTY_BODY, "empty"
    else:
        text = _plain_text(body)
        yield (text, None) if text is not None else (_base64(body), "base64")
        yield _base64(gzip.compress(body, mtime=0)), COMPRESSED


def decode_body(body: bytes, encoding: str | None) -> bytes:
    """The original body.

    Raises:
        UnpackedTooLarge: it has more than `UNPACKED_LIMIT` bytes. No more than that is unpacked.
        ValueError: the body is damaged, or its encoding is unknown.
    """
    if encoding is None:
        return body
    if encoding == "empty":
        return b""
    if encoding == "base64":
        return base64.b64decode(body, validate=True)
    if encoding == COMPRESSED:
        return _gunzip(base64.b64decode(body, validate=True))
    raise ValueError(f"the body's encoding {encoding[:40]!r} is unknown")


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
