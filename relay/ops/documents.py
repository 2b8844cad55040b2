"""Read messages from a file (a JSON document, an array or JSON lines) and prepare them for SQS."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import BinaryIO, Literal, TypeAlias

import msgspec

from relay.aws.sqs_values import Outgoing
from relay.envelope import Rules, decode
from relay.envelope.ids import search
from relay.model.message import Attribute, Message
from relay.model.outcome import Reject

InputFormat: TypeAlias = Literal["auto", "lines", "whole"]

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Document:
    """The body of one message, and its position in the file for error messages."""

    where: str
    body: bytes


class UnreadableInput(Exception):
    """The file has no valid format. The text is a message for the user."""


def read_documents(stream: BinaryIO, form: InputFormat = "auto") -> Iterator[Document]:
    """The documents of a file, in order. JSON lines are read lazily.

    `auto` treats a file as JSON lines if its first line is a complete JSON value and another line
    follows. Anything else is one JSON document; if that is an array, each element is a document.
    `lines` yields each line that is not blank unchanged, JSON or not. `whole` yields the whole
    file. Bodies are the exact bytes of the file, without a leading byte order mark.

    Raises:
        UnreadableInput: the file is empty, or neither JSON nor JSON lines.
    """
    if form == "whole":
        yield Document("the file", _without_bom(stream.read()))
        return
    lines = _lines(stream)
    first = next(lines, None)
    if first is None:
        raise UnreadableInput("nothing to send: the input is empty")
    if form == "lines":
        yield from chain((first,), lines)
    elif _is_json(first.body):
        yield from _rest_of_lines(first, lines)
    else:
        rest = b"".join(chain((first.body, b"\n"), stream))
        yield from _elements(rest)


def _lines(stream: BinaryIO) -> Iterator[Document]:
    for number, line in enumerate(stream, 1):
        body = (_without_bom(line) if number == 1 else line).strip(b" \t\r\n")
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
    _check_encoding(body)
    if not _is_json(body):
        raise UnreadableInput(
            f"the input is neither JSON nor JSON lines ({_json_error(body)}): fix it, or send each"
            " line unchanged with --lines, or the whole file as one message with --whole"
        )
    if not body.startswith(b"["):
        yield Document("the document", body)
        return
    for index, element in enumerate(_array_elements(body), 1):
        yield Document(f"element {index}", bytes(element))


def _check_encoding(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise UnreadableInput(
            f"the input is not UTF-8 text, which SQS requires (byte {error.start}): convert it, for"
            " example with `iconv -f latin1 -t utf-8`"
        ) from error


def _array_elements(body: bytes) -> list[msgspec.Raw]:
    try:
        return msgspec.json.decode(body, type=list[msgspec.Raw])
    except (ValueError, RecursionError) as error:
        raise UnreadableInput(
            f"the array cannot be split ({error}): put each element on its own line, or send the"
            " whole file as one message with --whole"
        ) from error


def _is_json(text: bytes) -> bool:
    """Whether this is one JSON value, including some that the relay rejects with a better error.

    These are NaN, half of a surrogate pair, and too many levels of nesting.
    """
    if _json_error(text) is None:
        return True
    try:
        json.loads(text.decode())
    except ValueError:
        return False
    except RecursionError:
        return True
    return True


def _json_error(text: bytes) -> str | None:
    try:
        msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        return str(error)
    return None


def _without_bom(text: bytes) -> bytes:
    return text.removeprefix(_BOM)


class InvalidDocument(Exception):
    """The document cannot be sent as a message. The text is a message for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTemplate:
    """What all messages sent by one command have in common.

    Attributes:
        queue: the queue's name, which is part of some ids.
        fifo: whether it is a FIFO queue. Then each message gets its own deduplication id, so that
            a repeated SendMessage does not create a second message.
        rules: how the relay will decode the messages; None skips the check.
        dedup_path: JMESPath of the deduplication id in the body.
    """

    queue: str
    fifo: bool = False
    rules: Rules | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    group_id: str | None = None
    dedup_path: str | None = None

    def message(self, document: Document) -> tuple[Outgoing, tuple[str, ...]]:
        """Create the message of a document, with the notices that the relay would log for it.

        Raises:
            InvalidDocument: the relay would reject it, or there is no deduplication id at
                `dedup_path`.
        """
        attributes = {k: Attribute("String", v) for k, v in self.attributes.items()}
        message = Message(
            body=document.body, message_id="not-sent", queue=self.queue, attributes=attributes
        )
        notices = () if self.rules is None else _check(message, self.rules)
        try:
            body = document.body.decode()
        except UnicodeDecodeError as error:
            raise InvalidDocument("it is not UTF-8 text, which SQS requires") from error
        dedup_id = self._dedup_id(document.body)
        return Outgoing(
            body=body, attributes=attributes, group_id=self.group_id, dedup_id=dedup_id
        ), notices

    def _dedup_id(self, body: bytes) -> str | None:
        if self.dedup_path is None:
            return uuid.uuid4().hex if self.fifo else None
        try:
            content = msgspec.json.decode(body)
        except (ValueError, RecursionError) as error:
            raise InvalidDocument("it is not JSON, so it has no deduplication id") from error
        dedup_id = search(self.dedup_path, content)
        if dedup_id is None:
            raise InvalidDocument(f"it has no string or integer at {self.dedup_path}")
        return dedup_id


def _check(message: Message, rules: Rules) -> tuple[str, ...]:
    decoded = decode(message, rules)
    if isinstance(decoded, Reject):
        raise InvalidDocument(f"the relay would reject it as {decoded.code}: {decoded.reason}")
    for index, reject in decoded.rejects:
        raise InvalidDocument(
            f"the relay would reject its event {index} as {reject.code}: {reject.reason}"
        )
    return decoded.notices
