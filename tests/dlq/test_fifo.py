"""FIFO dead-letter queues: order within groups, and nothing swallowed but our own earlier send."""

from itertools import groupby
from pathlib import Path

import pytest

from relay.aws.sqs_values import Outgoing
from relay.dlq.filters import Filter
from relay.local.sqs import Fault
from tests.dlq.place import Place, event, noted
from tests.dlq.redriver import Desk

DEAD, MAIN = "dead.fifo", "main.fifo"


@pytest.fixture
def desk(place: Place, tmp_path: Path) -> Desk:
    return Desk(place, tmp_path / "run", ".fifo")


async def interleaved(place: Place, count: int, groups: str = "abc") -> None:
    """Letters of several groups in turn, `a-0`, `b-1`, `c-2`, `a-3` and so on."""
    queue = await place.queue(DEAD)
    entries = [
        Outgoing(
            body=event(id=f"{groups[i % len(groups)]}-{i}"),
            group_id=groups[i % len(groups)],
            dedup_id=f"d{i}",
            attributes=noted(f"m{i}", source=MAIN),
        )
        for i in range(count)
    ]
    await queue.send(entries)


def order(place: Place, name: str = MAIN) -> dict[str, list[int]]:
    """The numbers of each group's messages in the order of the queue."""
    rows = sorted(
        (stored.group_id or "", stored.serial, int(stored.body.rpartition("-")[2].split('"')[0]))
        for stored in place.stored(name)
    )
    return {group: [n for *_, n in some] for group, some in groupby(rows, key=lambda row: row[0])}


async def test_interleaved_groups_come_back_in_their_order(desk: Desk, place: Place) -> None:
    await interleaved(place, 45)
    counts = await desk.redrive()
    assert counts.complete, counts
    assert order(place) == {g: list(range(i, 45, 3)) for i, g in enumerate("abc")}
    assert place.stored(DEAD) == ()


async def test_a_failed_entry_blocks_the_rest_of_its_group_and_no_other(
    desk: Desk, place: Place
) -> None:
    await interleaved(place, 9)
    place.sqs.faults.add(
        Fault(
            action="SendMessageBatch",
            skip=1,
            entries={0: "InvalidMessageContents"},
            sender_fault=True,
        )
    )
    counts = await desk.redrive()
    assert order(place) == {"a": [0], "b": [1, 4, 7], "c": [2, 5, 8]}
    assert order(place, DEAD) == {"a": [3, 6]}
    assert counts.skipped == {"not_sent": 1, "blocked": 1}
    assert place.visible(DEAD) == 2
    assert (await desk.redrive()).complete
    assert order(place)["a"] == [0, 3, 6]


async def test_a_letter_that_must_stay_is_overtaken_by_none_of_its_group(
    desk: Desk, place: Place
) -> None:
    queue = await place.queue(DEAD)
    for i, hops in enumerate((1, 9, 1)):
        attributes = noted(f"m{i}", source=MAIN, hops=hops)
        body = event(id=f"g-{i}")
        await queue.send(
            [Outgoing(body=body, group_id="g", dedup_id=str(i), attributes=attributes)]
        )
    counts = await desk.redrive()
    assert order(place) == {"g": [0]}
    assert counts.skipped == {"max_hops": 1, "blocked": 1}


async def test_what_is_not_meant_may_be_overtaken(desk: Desk, place: Place) -> None:
    await interleaved(place, 4, "a")
    counts = await desk.redrive(meant=Filter(ids=("a-1", "a-3")))
    assert order(place) == {"a": [1, 3]}
    assert counts.skipped == {"filtered": 2}


async def test_a_redrive_within_five_minutes_of_another_loses_nothing(
    desk: Desk, place: Place
) -> None:
    """The second one's deduplication ids are others, so SQS swallows none of it."""
    await interleaved(place, 6)
    assert (await desk.redrive()).complete
    place.clock.advance(10)
    queue = await place.queue(MAIN)
    while await queue.receive(wait=0, visibility=0):
        pass
    assert (len(place.stored(DEAD)), place.stored(MAIN)) == (6, ())
    desk.directory = desk.directory.with_name("second")
    assert (await desk.redrive()).complete
    assert order(place) == {g: [i, i + 3] for i, g in enumerate("abc")}
    assert {origin["hops"] for origin in place.origins(MAIN)} == {2}


async def test_a_send_that_was_not_noted_is_swallowed_when_repeated_and_then_deleted(
    desk: Desk, place: Place
) -> None:
    await interleaved(place, 6)
    place.sqs.faults.add(Fault(action="SendMessageBatch", drop=True))
    assert (await desk.redrive()).complete
    assert order(place) == {g: [i, i + 3] for i, g in enumerate("abc")}
    assert place.stored(DEAD) == ()


async def test_a_letter_that_sqs_moved_keeps_its_group_and_its_id(desk: Desk, place: Place) -> None:
    await place.send(MAIN, event(1), event(2), group_id="g")
    ids = [stored.message_id for stored in place.stored(MAIN)]
    await place.bury(MAIN)
    assert (await desk.redrive()).complete
    assert [origin["id"] for origin in place.origins(MAIN)] == ids
    assert {stored.group_id for stored in place.stored(MAIN)} == {"g"}
