"""Packs events into messages: several small events of one request share a message.

A message of up to 64 KiB costs SQS one request to send, one to receive and one to delete, whatever
is in it. A larger message would save nothing, and would make the dead letter of one of its events
larger.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from relay.aws.sqs_values import Outgoing
from relay.envelope.ids import search
from relay.model.event import ENVIRONMENT, Event
from relay.model.message import Attribute
from relay.model.trace_context import TRACEPARENT, valid_traceparent

PACK_EVENTS = 100
"""The most events in one message: the relay's default batch."""

PACK_BYTES = 65_536
"""Bytes of what SQS bills as one request."""

_MAX_GROUP = 128
"""Characters of a group id, and of a deduplication id (SQS API reference, SendMessage)."""

Group = Callable[[Event], str | None]
"""The value that orders an event, None if it has none."""


def group_by_path(path: str) -> Group:
    """Groups events by the text or integer at this JMESPath, such as `data.customer`."""

    def group(event: Event) -> str | None:
        return search(path, msgspec.json.decode(event.wire))

    return group


def no_group(_event: Event) -> None:
    """Groups nothing."""


class Packer:
    """Makes messages of events.

    Args:
        group: returns an event's message group. It orders a FIFO queue; a standard queue uses it
            as the tenant (fair queues).
        fifo: whether the queue is a FIFO queue. Each event is then a message with a deduplication
            id made of its own, so that SQS recognises a repeated send for five minutes. An event
            without a group is a group of its own.
        max_bytes: the most bytes of a message with several events.
    """

    def __init__(
        self, group: Group = no_group, *, fifo: bool = False, max_bytes: int = PACK_BYTES
    ) -> None:
        self._group = group
        self._most = 1 if fifo else PACK_EVENTS
        self._fifo = fifo
        self._max_bytes = max_bytes

    def pack(self, events: Sequence[Event]) -> list[tuple[Sequence[Event], Outgoing]]:
        """The messages with the events in each. Events of a group keep their order."""
        return [
            (part, self._message(part, texts, key))
            for key, members in self._grouped(events).items()
            for part, texts in self._parts(members)
        ]

    def _grouped(
        self, events: Sequence[Event]
    ) -> Mapping[tuple[str | None, str | None, str | None], list[Event]]:
        """The events by what one message can have only once: environment, trace and group."""
        grouped: dict[tuple[str | None, str | None, str | None], list[Event]] = {}
        for event in events:
            group = None if self._group is no_group else self._group(event)
            grouped.setdefault((event.env, event.trace, group), []).append(event)
        return grouped

    def _parts(self, events: Sequence[Event]) -> Iterator[tuple[list[Event], list[bytes]]]:
        part: list[Event] = []
        texts: list[bytes] = []
        size = 2
        for event in events:
            text = event.wire
            if part and (len(part) == self._most or size + len(text) + 1 > self._max_bytes):
                yield part, texts
                part, texts, size = [], [], 2
            part.append(event)
            texts.append(text)
            size += len(text) + 1
        if part:
            yield part, texts

    def _message(
        self,
        events: Sequence[Event],
        texts: Sequence[bytes],
        key: tuple[str | None, str | None, str | None],
    ) -> Outgoing:
        env, trace, group = key
        body = texts[0] if len(texts) == 1 else b"[%b]" % b",".join(texts)
        dedup_id = dedup_id_of(events[0]) if self._fifo else None
        return Outgoing(
            body=_sendable(body),
            attributes=_attributes(env, valid_traceparent(trace)),
            group_id=_group_id(dedup_id if group is None else group),
            dedup_id=dedup_id,
        )


def dedup_id_of(event: Event) -> str:
    """The deduplication id of an event: what its id means depends on environment and name."""
    identity = json.dumps([event.env, event.name, event.id]).encode()
    return hashlib.sha256(identity).hexdigest()


def _sendable(body: bytes) -> str:
    """The body as text that SQS accepts: U+FFFE and U+FFFF, which it refuses, become escapes.

    They can only be in a JSON string, where an escape means the same.
    """
    text = body.decode()
    if not text.isascii() and ("\ufffe" in text or "\uffff" in text):
        text = text.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
    return text


def _attributes(env: str | None, trace: str | None) -> dict[str, Attribute]:
    given = {ENVIRONMENT: env, TRACEPARENT: trace}
    return {name: Attribute("String", value) for name, value in given.items() if value is not None}


def _group_id(group: str | None) -> str | None:
    """The group as SQS accepts it: a value that is long or has other characters is hashed."""
    if group is None or (len(group) <= _MAX_GROUP and group.isascii() and _is_plain(group)):
        return group
    return hashlib.sha256(group.encode("utf-8", "surrogatepass")).hexdigest()


def _is_plain(text: str) -> bool:
    return bool(text) and text.isprintable() and " " not in text
