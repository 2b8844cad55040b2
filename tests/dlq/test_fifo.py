"""FIFO dead-letter queues: order within groups, and no message dropped as a duplicate."""

import json
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.aws.sqs_values import Outgoing
from relay.dlq.filters import Filter
from relay.dlq.targets import group_rounds
from relay.local.sqs import Fault
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.queues import LocalQueues, event, origin_attribute
from tests.dlq.redriver import Redriver

DEAD, MAIN = "dead.fifo", "main.fifo"


@pytest.fixture
def redriver(queues: LocalQueues, tmp_path: Path) -> Redriver:
    return Redriver(queues, tmp_path / "run", ".fifo")


async def interleaved(queues: LocalQueues, count: int, groups: str = "abc") -> None:
    """Dead letters of several groups in turn, `a-0`, `b-1`, `c-2`, `a-3` and so on."""
    queue = await queues.queue(DEAD)
    entries = [
        Outgoing(
            body=event(id=f"{groups[i % len(groups)]}-{i}"),
            group_id=groups[i % len(groups)],
            dedup_id=f"d{i}",
            attributes=origin_attribute(f"m{i}", source=MAIN),
        )
        for i in range(count)
    ]
    await queue.send(entries)


def order(queues: LocalQueues, name: str = MAIN) -> dict[str, list[int]]:
    """The numbers of each group's messages in the order of the queue."""
    rows = sorted(
        (stored.group_id or "", stored.serial, int(stored.body.rpartition("-")[2].split('"')[0]))
        for stored in queues.stored(name)
    )
    return {group: [n for *_, n in some] for group, some in groupby(rows, key=lambda row: row[0])}


async def test_interleaved_groups_are_redriven_in_order(
    redriver: Redriver, queues: LocalQueues
) -> None:
    await interleaved(queues, 45)
    counts = await redriver.redrive()
    assert counts.complete, counts
    assert order(queues) == {g: list(range(i, 45, 3)) for i, g in enumerate("abc")}
    assert queues.stored(DEAD) == ()


async def test_a_failed_entry_blocks_the_rest_of_its_group_only(
    redriver: Redriver, queues: LocalQueues
) -> None:
    await interleaved(queues, 9)
    queues.sqs.faults.add(
        Fault(
            action="SendMessageBatch",
            skip=1,
            entries={0: "InvalidMessageContents"},
            sender_fault=True,
        )
    )
    counts = await redriver.redrive()
    assert order(queues) == {"a": [0], "b": [1, 4, 7], "c": [2, 5, 8]}
    assert order(queues, DEAD) == {"a": [3, 6]}
    assert counts.skipped == {"not_sent": 1, "blocked": 1}
    assert queues.visible(DEAD) == 2
    assert (await redriver.redrive()).complete
    assert order(queues)["a"] == [0, 3, 6]


async def test_nothing_in_a_group_overtakes_a_skipped_dead_letter(
    redriver: Redriver, queues: LocalQueues
) -> None:
    queue = await queues.queue(DEAD)
    for i, hops in enumerate((1, 9, 1)):
        attributes = origin_attribute(f"m{i}", source=MAIN, hops=hops)
        body = event(id=f"g-{i}")
        await queue.send(
            [Outgoing(body=body, group_id="g", dedup_id=str(i), attributes=attributes)]
        )
    counts = await redriver.redrive()
    assert order(queues) == {"g": [0]}
    assert counts.skipped == {"max_hops": 1, "blocked": 1}


async def test_what_is_not_selected_may_be_overtaken(
    redriver: Redriver, queues: LocalQueues
) -> None:
    await interleaved(queues, 4, "a")
    counts = await redriver.redrive(filters=Filter(ids=("a-1", "a-3")))
    assert order(queues) == {"a": [1, 3]}
    assert counts.skipped == {"filtered": 2}


async def test_a_redrive_within_five_minutes_of_another_loses_nothing(
    redriver: Redriver, queues: LocalQueues
) -> None:
    """The second one has other deduplication ids, so SQS drops none of it as a duplicate."""
    await interleaved(queues, 6)
    assert (await redriver.redrive()).complete
    queues.clock.advance(10)
    queue = await queues.queue(MAIN)
    while await queue.receive(wait=0, visibility=0):
        pass
    assert (len(queues.stored(DEAD)), queues.stored(MAIN)) == (6, ())
    redriver.directory = redriver.directory.with_name("second")
    assert (await redriver.redrive()).complete
    assert order(queues) == {g: [i, i + 3] for i, g in enumerate("abc")}
    assert {origin["hops"] for origin in queues.origins(MAIN)} == {2}


async def test_an_unrecorded_send_is_dropped_by_sqs_when_repeated_and_then_deleted(
    redriver: Redriver, queues: LocalQueues
) -> None:
    await interleaved(queues, 6)
    queues.sqs.faults.add(Fault(action="SendMessageBatch", drop=True))
    assert (await redriver.redrive()).complete
    assert order(queues) == {g: [i, i + 3] for i, g in enumerate("abc")}
    assert queues.stored(DEAD) == ()


async def test_a_message_that_sqs_moved_keeps_its_group_and_its_id(
    redriver: Redriver, queues: LocalQueues
) -> None:
    await queues.send(MAIN, event(1), event(2), group_id="g")
    ids = [stored.message_id for stored in queues.stored(MAIN)]
    await queues.move_by_sqs(MAIN)
    assert (await redriver.redrive()).complete
    assert [origin["id"] for origin in queues.origins(MAIN)] == ids
    assert {stored.group_id for stored in queues.stored(MAIN)} == {"g"}


async def test_nothing_in_a_group_overtakes_what_sqs_refuses_in_a_restore(
    relay: Relay, queues: LocalQueues, tmp_path: Path
) -> None:
    for i in range(60):
        why = origin_attribute(f"id-{i}", source="main.fifo")
        await queues.send("dead.fifo", event(i), attributes=why, group_id="ab"[i % 2])
    words = ("--queue", "main.fifo", "--journal", "dropped", "--confirm", "dead.fifo")
    dropped = await relay("dlq", "drop", "--name", "*", *words, *QUICK)
    assert (dropped.code, queues.stored("dead.fifo")) == (0, ()), dropped
    refused = {0: "InvalidMessageContents"}
    queues.sqs.faults.add(Fault(action="SendMessageBatch", entries=refused, sender_fault=True))
    backup = ("dlq", "restore", "dropped/backup.jsonl", "--yes", "--queue", "main.fifo")
    ended = await relay(*backup, "--journal", "run")
    assert ended.code == 3, ended
    skipped = json.loads(ended.out)["skipped"]
    assert (skipped["not_sent"], skipped["blocked"]) == (1, 29)
    again = await relay(*backup, "--journal", "run")
    assert again.code == 0, again
    numbers = [json.loads(body)["data"]["number"] for body in queues.bodies("dead.fifo")]
    assert sorted(numbers) == list(range(60))
    for group in (0, 1):
        mine = [number for number in numbers if number % 2 == group]
        assert mine == sorted(mine)


@given(st.lists(st.sampled_from(["a", "b", None]), max_size=12))
def test_rounds_keep_each_group_in_order_and_include_everything(groups: list[str | None]) -> None:
    rounds = list(group_rounds(groups))
    assert sorted(i for one in rounds for i in one) == list(range(len(groups)))
    for one in rounds:
        assert len({groups[i] for i in one}) == len(one)
    for group in set(groups):
        places = [i for one in rounds for i in one if groups[i] == group]
        assert places == sorted(places)
