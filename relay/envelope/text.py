"""What must hold for a body before any parser sees it: UTF-8, no byte order mark, not too deep."""

from __future__ import annotations

from relay.envelope.unfit import Unfit

MAX_DEPTH = 100
"""Levels of objects and arrays, the body's outermost included: far below what any parser on any
supported Python breaks at, so that the answer never depends on the interpreter."""

_BLANK = b" \t\r\n"
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_NOT_OPENING = bytes(set(range(256)) - set(b"[{"))
_NEITHER_BRACKETS_NOR_QUOTES = bytes(set(range(256)) - set(b'[]{}"'))
_ALL_SQUARE = bytes.maketrans(b"{}", b"[]")


def checked(body: bytes) -> bytes:
    """The body without the blanks around it.

    Raises:
        Unfit: `empty_body`, `byte_order_mark`, `invalid_utf8` or `too_deep`.
    """
    text = body.strip(_BLANK)
    if not text:
        raise Unfit("empty_body", "the body is empty")
    if not body.isascii():
        _check_encoding(body)
    if len(text.translate(None, _NOT_OPENING)) > MAX_DEPTH and _too_deep(text):
        raise Unfit("too_deep", f"the body nests objects or arrays deeper than {MAX_DEPTH} levels")
    return text


def _check_encoding(body: bytes) -> None:
    if body.startswith(_BOMS):
        raise Unfit("byte_order_mark", "the body starts with a byte order mark: send plain UTF-8")
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise Unfit("invalid_utf8", f"the body is not UTF-8 at byte {error.start}") from None


def _too_deep(text: bytes) -> bool:
    """Peel the innermost brackets off, a level at a time: few passes at the speed of C."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Every other piece between quotes is in a string; an open one swallows the rest.
    pieces = text.translate(_ALL_SQUARE, _NEITHER_BRACKETS_NOR_QUOTES).split(b'"')
    brackets = b"".join(pieces[::2])
    for _ in range(MAX_DEPTH):
        peeled = brackets.replace(b"[]", b"")
        if len(peeled) == len(brackets):
            break
        brackets = peeled
    # What stays is too deep or, with few brackets, unbalanced, which is for the parser to say.
    return brackets.count(b"[") > MAX_DEPTH or (b"[]" in brackets)
