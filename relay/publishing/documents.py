"""Messages in a file: one JSON document, an array of them, or one on each line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO, Literal, TypeAlias

import msgspec

Form: TypeAlias = Literal["auto", "lines", "whole"]

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Document:
    """What becomes one message's body, and where in the file it is, for people."""

    where: str
    body: bytes


class Unreadable(Exception):
    """The file as a whole is not what it should be. The text is a sentence for a person."""


def read_documents(stream: BinaryIO, form: Form = "auto") -> Iterator[Document]:
    """The documents of a file, in order; JSON lines are read as they are asked for.

    `auto` takes a file for JSON lines when its first line is a whole JSON value and another line
    follows it; anything else is one JSON document, and if that is an array, its elements are the
    messages. `lines` takes each line that is not blank as it is, JSON or not; `whole` takes all.
    Bodies are the file's own bytes, without the byte order mark that editors put before them.

    Raises:
        Unreadable: the file is empty, or neither JSON nor JSON lines.
    """
    if form == "whole":
        yield Document("the file", _unmarked(stream.read()))
        return
    lines = _lines(stream)
    first = next(lines, None)
    if first is None:
        raise Unreadable("there is nothing to send: the input is empty")
    if form == "lines":
        yield from chain((first,), lines)
    elif _is_json(first.body):
        yield from _rest_of_lines(first, lines)
    else:
        rest = b"".join(chain((first.body, b"\n"), stream))
        yield from _elements(rest)


def _lines(stream: BinaryIO) -> Iterator[Document]:
    for number, line in enumerate(stream, 1):
        body = (_unmarked(line) if number == 1 else line).strip(b" \t\r\n")
        if body:
            yield Document(f"line {number}", body)


def _rest_of_lines(first: Document, lines: Iterator[Document]) -> Iterator[Document]:
    second = next(lines, None)
    if second is None:
        yield from _elements(first.body)
    else:
        yield from chain((first, second), lines)


def _elements(text: bytes) -> Iterator[Document]:
    body = text.strip(b" \t\r\n")
    if not _is_json(body):
        raise Unreadable(
            f"the input is neither JSON nor JSON lines ({_mistake(body)}): mend it, or send each"
            " line as it is with --lines, or all of it as one message with --whole"
        )
    if not body.startswith(b"["):
        yield Document("the document", body)
        return
    for index, element in enumerate(_taken_apart(body), 1):
        yield Document(f"element {index}", bytes(element))


def _taken_apart(body: bytes) -> list[msgspec.Raw]:
    try:
        return msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable(
            f"the array cannot be taken apart ({error}): give each element a line of its own, or"
            " send all of it as one message with --whole"
        ) from error


def _is_json(text: bytes) -> bool:
    """Whether this is one value, as loosely as the relay reads: what is wrong in it is told later.

    That is NaN, an escape for half of a surrogate pair, and what is nested too deeply.
    """
    if _mistake(text) is None:
        return True
    try:
        json.loads(text.decode())
    except ValueError:
        return False
    except RecursionError:
        return True
    return True


def _mistake(text: bytes) -> str | None:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        return str(error)
    return None


def _unmarked(text: bytes) -> bytes:
    return text.removeprefix(_BOM)
