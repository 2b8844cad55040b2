"""The table in docs/ids.md: which ids survive what happens to a message."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from relay.delivery.dead_letter_copy import dead_letter_copy
from relay.dlq.dead_letter import read_dead_letter
from relay.envelope import Decoded, Rules, decode
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin

PAGE = (Path(__file__).parents[2] / "docs" / "ids.md").read_text(encoding="utf-8")
ROWS = {
    re.split("[:(]", cells[0])[0].strip(): cells[1:]
    for line in PAGE.split("## Which ids survive")[1].split("##")[0].splitlines()
    if line.startswith("| ")
    and (cells := [cell.strip() for cell in line.strip("|").split(" | ")])
    and cells[0] != "what happens"
}
KINDS = ("own", "derived", "MessageId", "deduplication id")
RULES = Rules(id_attribute="order", fifo_dedup_id=True)
SOURCE = "arn:aws:sqs:eu-west-1:123456789012:events.fifo"


def message(kind: str) -> Message:
    return Message(
        body=b'[{"id":"mine","name":"a/b"}]' if kind == "own" else b'[{"name":"a/b"}]',
        message_id="first",
        queue="events.fifo",
        attributes={"order": Attribute("String", "o-1")} if kind == "derived" else {},
        sent_at=1_790_000_000.0,
        dedup_id="dedup" if kind == "deduplication id" else None,
        group_id="group" if kind == "deduplication id" else None,
    )


def ids(found: Message) -> list[str]:
    decoded = decode(found, RULES)
    assert isinstance(decoded, Decoded)
    return [event.id for event in decoded.events]


def as_new(found: Message) -> Message:
    """The same content, sent again."""
    return structs.replace(found, message_id="second", sent_at=1_790_500_000.0, dedup_id=None)


def dead_lettered(found: Message) -> Message:
    decoded = decode(found, RULES)
    assert isinstance(decoded, Decoded)
    origin = Origin(id=decoded.base_id, hops=1, source=found.queue, sent_at=found.sent_at)
    copy = dead_letter_copy(found, origin)
    return structs.replace(as_new(found), body=copy.body.encode(), attributes=copy.attributes)


def moved(found: Message) -> Message:
    """The message after SQS's own move from FIFO to FIFO."""
    return structs.replace(
        found, dead_letter_source=SOURCE, dedup_id=found.dedup_id and found.message_id
    )


def redriven(dead_letter: Message, generation: int = 0) -> Message:
    """The message as `relay dlq redrive` sends it."""
    origin = read_dead_letter(dead_letter, RULES).origin
    assert origin is not None
    packed = Attribute("String", replace(origin, generation=generation).pack())
    return as_new(
        structs.replace(dead_letter, attributes={**dead_letter.attributes, ATTRIBUTE: packed})
    )


def by_aws(dead_letter: Message) -> Message:
    return structs.replace(
        as_new(dead_letter), dead_letter_source=None, dedup_id=dead_letter.dedup_id
    )


PATHS: dict[str, Callable[[Message], Message]] = {
    "delivered again": lambda found: structs.replace(found, receive_count=2),
    "delivered to another relay, to another version of it, or by push instead of pull": (
        lambda found: structs.replace(found, dedup_id=None, group_id=None)
    ),
    "dead-lettered by the relay": dead_lettered,
    "dead-lettered by the relay and redriven by `relay dlq redrive`": (
        lambda found: redriven(dead_lettered(found))
    ),
    "dead-lettered by the relay and redriven by AWS": lambda found: by_aws(dead_lettered(found)),
    "moved to the dead-letter queue by SQS itself": moved,
    "moved by SQS itself and redriven by `relay dlq redrive`": (
        lambda found: redriven(moved(found))
    ),
    "moved by SQS itself and redriven by AWS": lambda found: by_aws(moved(found)),
    "copied from queue to queue by a script of yours": as_new,
    "sent twice by the producer": (
        lambda found: structs.replace(as_new(found), dedup_id=found.dedup_id)
    ),
    "redriven with `relay dlq redrive --rerun`": (
        lambda found: redriven(dead_lettered(found), generation=1)
    ),
}


def test_every_row_of_the_table_is_tested() -> None:
    assert ROWS.keys() == PATHS.keys()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", list(PATHS))
def test_an_id_survives_as_the_table_says(path: str, kind: str) -> None:
    cell = ROWS[path][KINDS.index(kind)]
    first = message(kind)
    same = ids(PATHS[path](first)) == ids(first)
    if re.search(r"lost|new one", cell):
        assert not same
    elif "script" not in cell:
        assert cell.startswith("✓")
        assert same
