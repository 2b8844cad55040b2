"""Encoding of message bodies that SQS does not accept, and decoding them again."""

from __future__ import annotations

import base64
import gzip
import io
import re
import zlib
from collections.abc import Iterator

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that SQS refuses (Amazon SQS API reference, SendMessage)."""

_EMPTY_BODY = "(empty)"
"""Sent in place of an empty body, which SQS refuses too."""

UNPACKED_LIMIT = 16 * 1_048_576
"""Bytes. Far above what a message of SQS can hold, far below what would exhaust the memory."""


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
        yield _base64(gzip.compress(body, mtime=0)), "gzip+base64"


def decode_body(body: bytes, encoding: str | None) -> bytes:
    """The original body.

    Raises:
        ValueError: the body is damaged, its encoding is unknown, or it is too large when unpacked.
    """
    if encoding is None:
        return body
    if encoding == "empty":
        return b""
    if encoding == "base64":
        return base64.b64decode(body, validate=True)
    if encoding == "gzip+base64":
        return _gunzip(base64.b64decode(body, validate=True))
    raise ValueError(f"the body's encoding {encoding!r} is unknown")


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
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            body = file.read(UNPACKED_LIMIT + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError("the compressed body is damaged") from error
    if len(body) > UNPACKED_LIMIT:
        raise ValueError(f"the compressed body unpacks to more than {UNPACKED_LIMIT} bytes")
    return body
