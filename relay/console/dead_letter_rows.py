"""The rows of the index of dead letters: what is stored of each, and what queries return."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import msgspec

from relay.dlq.dead_letter import DeadLetter
from relay.dlq.filters import ids_of, names_of
from relay.dlq.prediction import MEANING, Prediction
from relay.dlq.records import message_from_fields, message_to_fields
from relay.dlq.snapshot import Head
from relay.dlq.statistics import Expiry, expiry, group_keys
from relay.model.message import Message

BEGINNING = 160
"""Bytes of the body that a list shows."""

COLUMNS = (
    "message_id, ids, names, name, code, source, hour, shape, reason, first_sent, expires, exact,"
    " events, hops, prediction, beginning"
)
"""What `row_of` returns."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which dead letters: those of a group, and of them those that contain a text.

    `text` is looked for in ids and names, whatever its case, and in bodies as it is written there.
    """

    name: str | None = None
    code: str | None = None
    source: str | None = None
    hour: str | None = None
    shape: str | None = None
    text: str = ""

    @property
    def given(self) -> dict[str, str]:
        """The fields with a value, the text included."""
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A dead letter in a list. `beginning` is of its body; times are in epoch seconds."""

    message_id: str
    name: str
    code: str
    source: str
    reason: str
    first_sent: float | None
    expires: Expiry | None
    events: int
    hops: int
    prediction: Prediction
    beginning: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEntry:
    """A group of dead letters. `keys` are the values that they share, by grouping."""

    keys: dict[str, str]
    count: int
    events: int
    oldest: float | None
    newest: float | None
    expires: float | None
    reason: str
    sample: str
    predictions: dict[Prediction, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """How many match a query, with their events, and how many of them SQS has deleted by now.

    `predictions` counts them by what a redrive would do.
    """

    count: int
    events: int
    expired: int
    first_expiry: float | None
    predictions: dict[Prediction, int]


def row_of(dead_letter: DeadLetter, prediction: Prediction, head: Head) -> tuple[Any, ...]:
    """The values of `COLUMNS`."""
    keys = group_keys(dead_letter)
    expires = expiry(dead_letter.message, head.retention, fifo=head.fifo)
    row = (
        dead_letter.message.message_id,
        "".join(f"\n{ident}\n" for ident in sorted(ids_of(dead_letter))),
        "\n".join(names_of(dead_letter)),
        *(keys[column] for column in ("name", "code", "source", "hour", "shape")),
        dead_letter.reason,
        dead_letter.first_sent_at,
        expires.at if expires else None,
        expires.exact if expires else None,
        len(dead_letter.events),
        dead_letter.hops,
        prediction,
        dead_letter.message.body[:BEGINNING],
    )
    return tuple(map(storable, row))


def stored_message(message: Message) -> tuple[bytes, bytes]:
    """The message without its body, and its body."""
    stored = message_to_fields(message)
    stored.pop("body", None)
    stored.pop("body_base64", None)
    return msgspec.json.encode(stored), message.body


def storable(value: Any) -> Any:
    """A value that SQLite stores: a lone surrogate cannot be written as UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def group_of(by: tuple[str, ...], row: tuple[Any, ...]) -> GroupEntry:
    """The group in a row with the columns of its keys first."""
    keys = row[: len(by)]
    count, events, oldest, newest, expires, reason, sample, *predicted = row[len(by) :]
    return GroupEntry(
        keys=dict(zip(by, keys, strict=True)),
        count=count,
        events=events,
        oldest=oldest,
        newest=newest,
        expires=expires,
        reason=reason,
        sample=sample,
        predictions=predictions_of(predicted),
    )


def predictions_of(counts: Iterable[int]) -> dict[Prediction, int]:
    """Those that occur, with how often."""
    return {one: number for one, number in zip(MEANING, counts, strict=True) if number}


def entry_of(row: tuple[Any, ...]) -> Entry:
    """The dead letter in a row."""
    (message_id, name, code, source, reason, first_sent, at, exact, *rest) = row
    events, hops, prediction, beginning = rest
    return Entry(
        message_id=message_id,
        name=name,
        code=code,
        source=source,
        reason=reason,
        first_sent=first_sent,
        expires=None if at is None else Expiry(at, exact=bool(exact)),
        events=events,
        hops=hops,
        prediction=prediction,
        beginning=beginning,
    )


def message_of(stored: bytes, body: bytes) -> Message:
    """The message that `stored_message` took apart."""
    message = message_from_fields({**msgspec.json.decode(stored), "body": ""})
    return msgspec.structs.replace(message, body=body)
