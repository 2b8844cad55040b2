"""The index of a snapshot: it answers as reading every message again would."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest

from relay.console.dead_letter_index import MAX_SEARCHES, DeadLetterIndex
from relay.console.dead_letter_rows import Query
from relay.dlq.dead_letter import DeadLetter, read_dead_letter
from relay.dlq.prediction import MEANING, Prediction
from relay.dlq.snapshot import Head
from relay.dlq.statistics import GROUPINGS, group_keys
from relay.envelope import Rules
from relay.model.message import Message
from tests.dlq.queues import origin_attribute

HEAD = Head(queue="dead", arn="arn", taken_at=1.8e9, retention=1_000.0, fifo=False)
RULES = Rules()
NAMES = ("shop/a", "shop/b", "Ärger", "100%_x", "it's")


def messages(count: int, seed: int = 1) -> Iterator[Message]:
    chance = random.Random(seed)
    for number in range(count):
        name = chance.choice(NAMES)
        body = f'{{"name":"{name}","id":"own-{number}","data":{{"n":{2**63 + number}}}}}'
        yield Message(
            body=b"no json" if chance.random() < 0.2 else body.encode(),
            message_id=f"id-{number:05}",
            queue="dead",
            sent_at=1.8e9 - chance.randrange(2_000),
            attributes=origin_attribute(f"base-{number}", code=chance.choice(("x", "y", "z"))),
        )


async def read(message: Message) -> DeadLetter:
    return read_dead_letter(message, RULES)


def predict(dead_letter: DeadLetter) -> Prediction:
    kinds = tuple(MEANING)
    return kinds[len(dead_letter.message.message_id + dead_letter.code) % len(kinds)]


@pytest.fixture
async def index() -> DeadLetterIndex:
    index = DeadLetterIndex(HEAD)
    await index.fill(messages(1_234), read, predict)
    return index


async def all_dead_letters() -> list[DeadLetter]:
    return [await read(message) for message in messages(1_234)]


@pytest.mark.parametrize("grouping", GROUPINGS)
async def test_groups_count_what_reading_again_counts(
    index: DeadLetterIndex, grouping: str
) -> None:
    every = await all_dead_letters()
    expected = Counter(group_keys(one)[grouping] for one in every)
    groups = await index.groups((grouping,), Query(), 1_000)
    assert {one.keys[grouping]: one.count for one in groups} == expected
    assert all(sum(one.predictions.values()) == one.count for one in groups)
    for key, count in expected.items():
        totals = await index.totals(Query(**{grouping: key}), 0.0)
        assert totals.count == count


async def test_totals_say_what_has_expired_and_what_expires_next(index: DeadLetterIndex) -> None:
    now = 1.8e9
    expiries = [(one.message.sent_at or 0.0) + 1_000.0 for one in await all_dead_letters()]
    totals = await index.totals(Query(), now)
    assert totals.expired == sum(at <= now for at in expiries) > 0
    assert totals.first_expiry == min(at for at in expiries if at > now)
    assert totals.count == 1_234
    assert totals.events == sum(len(one.events) for one in await all_dead_letters())


async def test_pages_have_each_dead_letter_once_the_latest_first(index: DeadLetterIndex) -> None:
    found = [
        entry
        for offset in range(0, 1_250, 50)
        for entry in await index.entries(Query(), offset=offset, limit=50)
    ]
    assert len({one.message_id for one in found}) == len(found) == 1_234
    assert all((a.first_sent or 0) >= (b.first_sent or 0) for a, b in pairwise(found))
    assert sorted(await index.message_ids(Query())) == sorted(one.message_id for one in found)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("id-00007", 1),
        ("BASE-77", 11),
        (f'"n":{2**63 + 5}}}', None),
        ("no json", None),
        ("Ärger", None),
        ("100%_x", None),
        ("it's", None),
        ("%", None),
        ("\ud800", 0),
        ("\x00", 0),
    ],
)
async def test_a_search_finds_what_is_there(
    index: DeadLetterIndex, text: str, count: int | None
) -> None:
    found = await index.message_ids(Query(text=text))
    bodies = {m.message_id for m in messages(1_234) if text.encode(errors="replace") in m.body}
    assert set(found) >= bodies
    assert len(found) == (len(bodies) if count is None else count)
    narrowed = await index.totals(Query(text=text, code="x"), 0.0)
    assert narrowed.count <= len(found)


async def test_many_searches_at_most_a_few_are_kept(index: DeadLetterIndex) -> None:
    for number in range(MAX_SEARCHES + 5):
        assert len(await index.message_ids(Query(text=f"id-{number:05}"))) == 1
    assert len(await index.message_ids(Query(text="id-00000"))) == 1


async def test_a_message_comes_back_byte_for_byte(index: DeadLetterIndex) -> None:
    for message in messages(50):
        assert await index.find(message.message_id) == [message]
    assert [m.message_id for m in await index.find("base-7")] == ["id-00007"]
    assert await index.find("base") == []
