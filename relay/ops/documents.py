"""Messages in a file: one JSON document, an array of them, or one on each line."""

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
    """What becomes one message's body, and where in the file it is, for people."""

    where: str
    body: bytes


class UnreadableInput(Exception):
    """The file as a whole is not what it should be. The text is a sentence for a person."""


def read_documents(stream: BinaryIO, form: InputFormat = "auto") -> Iterator[Document]:
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
        raise UnreadableInput("there is nothing to send: the input is empty")
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
        raise UnreadableInput(
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
        raise UnreadableInput(
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


class InvalidDocument(Exception):
    """The document cannot be a message. The text is a sentence for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTemplate:
    """What messages of one sending have in common.

    Attributes:
        queue: the queue's name, which is part of some ids.
        fifo: whether it is a FIFO queue; then each message has a deduplication id of its own, so
            that a repeated send is no second message.
        rules: how the relay will read the messages; None checks nothing.
        dedup_path: JMESPath to the deduplication id in the body.
    """

    queue: str
    fifo: bool = False
    rules: Rules | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    group_id: str | None = None
    dedup_path: str | None = None

    def message(self, document: Document) -> Outgoing:
        """The document as a message.

        Raises:
            Unfit: the relay would dead-letter it, or it has no deduplication id where one is named.
        """
        attributes = {k: Attribute("String", v) for k, v in self.attributes.items()}
        message = Message(
            body=document.body, message_id="not-sent", queue=self.queue, attributes=attributes
        )
        if self.rules is not None:
            _check(message, self.rules)
        try:
            body = document.body.decode()
        except UnicodeDecodeError as error:
            raise InvalidDocument("it is not UTF-8 text, and SQS takes nothing else") from error
        return Outgoing(
            body=body,
            attributes=attributes,
            group_id=self.group_id,
            dedup_id=self._dedup_id(document.body),
        )

    def _dedup_id(self, body: bytes) -> str | None:
        if self.dedup_path is None:
            return uuid.uuid4().hex if self.fifo else None
        try:
            content = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidDocument("it is not JSON and so has no deduplication id") from error
        dedup_id = search(self.dedup_path, content)
        if dedup_id is None:
            raise InvalidDocument(f"it has no text or whole number at {self.dedup_path}")
        return dedup_id


def _check(message: Message, rules: Rules) -> None:
    decoded = decode(message, rules)
    if isinstance(decoded, Reject):
        raise InvalidDocument(f"the relay would reject it as {decoded.code}: {decoded.reason}")
    for index, reject in decoded.rejects:
        raise InvalidDocument(
            f"the relay would reject its event {index} as {reject.code}: {reject.reason}"
        )
