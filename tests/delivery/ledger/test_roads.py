"""docs/ids.md says of every road which ids survive it, and so it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from relay.delivery.dead_letter_queue import dead_letter_copy
from relay.dlq.dead_letter import read_dead_letter
from relay.envelope import Decoded, Rules, decode
from relay.model.message import Attribute, Message
from relay.model.origin import ATTRIBUTE, Origin

PAGE = (Path(__file__).parents[3] / "docs" / "ids.md").read_text(encoding="utf-8")
ROWS = {
    cells[0]: cells[1:]
    for line in PAGE.split("## The roads")[1].split("##")[0].splitlines()
    if line.startswith("| ")
    and (cells := [cell.strip() for cell in line.strip("|").split(" | ")])
    and cells[0] != "road"
}
KINDS = ("own", "named", "MessageId", "deduplication id")
RULES = Rules(id_attribute="order", fifo_dedup_id=True)
SOURCE = "arn:aws:sqs:eu-west-1:123456789012:events.fifo"


def message(kind: str) -> Message:
    return Message(
        body=b'[{"id":"mine","name":"a/b"}]' if kind == "own" else b'[{"name":"a/b"}]',
        message_id="first",
        queue="events.fifo",
        attributes={"order": Attribute("String", "o-1")} if kind == "named" else {},
        sent_at=1_790_000_000.0,
        dedup_id="dedup" if kind == "deduplication id" else None,
        group_id="group" if kind == "deduplication id" else None,
    )


def ids(found: Message) -> list[str]:
    decoded = decode(found, RULES)
    assert isinstance(decoded, Decoded)
    return [event.id for event in decoded.events]


def as_new(found: Message) -> Message:
    """The same content, sent once more."""
    return structs.replace(found, message_id="second", sent_at=1_790_500_000.0, dedup_id=None)


def buried(found: Message) -> Message:
    decoded = decode(found, RULES)
    assert isinstance(decoded, Decoded)
    origin = Origin(id=decoded.base_id, hops=1, source=found.queue, sent_at=found.sent_at)
    copy = dead_letter_copy(found, origin)
    return structs.replace(as_new(found), body=copy.body.encode(), attributes=copy.attributes)


def moved(found: Message) -> Message:
    """As SQS's own move from FIFO to FIFO leaves it."""
    return structs.replace(
        found, dead_letter_source=SOURCE, dedup_id=found.dedup_id and found.message_id
    )


def redriven(letter: Message, generation: int = 0) -> Message:
    """As `relay dlq redrive` sends what it found."""
    origin = read_dead_letter(letter, RULES).origin
    assert origin is not None
    noted = Attribute("String", replace(origin, generation=generation).pack())
    return as_new(structs.replace(letter, attributes={**letter.attributes, ATTRIBUTE: noted}))


def by_aws(letter: Message) -> Message:
    return structs.replace(as_new(letter), dead_letter_source=None, dedup_id=letter.dedup_id)


ROADS: dict[str, Callable[[Message], Message]] = {
    "delivered again": lambda found: structs.replace(found, receive_count=2),
    "another relay": lambda found: structs.replace(found, dedup_id=None, group_id=None),
    "dead-lettered by the relay": buried,
    "dead letter of the relay, brought back by `relay dlq": lambda found: redriven(buried(found)),
    "the same, brought back by AWS": lambda found: by_aws(buried(found)),
    "moved to the dead-letter queue by SQS itself": moved,
    "moved by SQS itself, brought back by `relay dlq": lambda found: redriven(moved(found)),
    "moved by SQS itself, brought back by AWS": lambda found: by_aws(moved(found)),
    "copied from queue to queue": as_new,
    "sent twice": lambda found: structs.replace(as_new(found), dedup_id=found.dedup_id),
    "`relay dlq redrive --rerun`": lambda found: redriven(buried(found), generation=1),
}


def test_every_road_of_the_page_is_travelled() -> None:
    assert len(ROWS) == len(ROADS)
    assert all(sum(row.startswith(road) for row in ROWS) == 1 for road in ROADS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("road", list(ROADS))
def test_an_id_survives_the_road_as_the_page_says(road: str, kind: str) -> None:
    (cells,) = (cells for row, cells in ROWS.items() if row.startswith(road))
    cell = cells[KINDS.index(kind)]
    first = message(kind)
    same = ids(ROADS[road](first)) == ids(first)
    if re.search(r"lost|new one", cell):
        assert not same
    elif "script" not in cell:
        assert cell.startswith("✓")
        assert same
