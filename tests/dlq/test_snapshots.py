"""Redrive and restore with a snapshot: it must be complete and of this queue."""

import gzip
import json
import time
from pathlib import Path

import pytest

from tests.dlq.conftest import QUICK, Relay
from tests.dlq.queues import LocalQueues, event, origin_attribute, send_with_own_ids


def sent_ago(queues: LocalQueues, seconds: float) -> None:
    """Set the queue's clock, so that messages sent now are this old for the commands."""
    queues.clock.advance(time.time() - seconds - queues.clock.time())


@pytest.mark.parametrize("words", [(), ("--yes",)], ids=["plan", "yes"])
async def test_a_snapshot_of_another_queue_is_refused(
    relay: Relay, queues: LocalQueues, words: tuple[str, ...]
) -> None:
    await send_with_own_ids(queues, 2)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    queues.make("other-dead")
    queues.make("other", "other-dead")
    snapshot = ("--snapshot", "seen.jsonl", "--queue", "other")
    ended = await relay("dlq", "redrive", *snapshot, *words, *QUICK)
    assert (ended.code, ended.out) == (2, "")
    assert "seen.jsonl is a snapshot of the queue dead, not of other-dead" in ended.err


@pytest.mark.parametrize("words", [(), ("--yes",)], ids=["plan", "yes"])
@pytest.mark.parametrize("name", ["cut.jsonl.gz", "altered.jsonl"])
async def test_a_damaged_snapshot_ends_a_redrive_before_it_begins(
    relay: Relay, queues: LocalQueues, tmp_path: Path, name: str, words: tuple[str, ...]
) -> None:
    await send_with_own_ids(queues, 30)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    whole = (tmp_path / "seen.jsonl").read_bytes()
    cut, altered = gzip.compress(whole)[:600], whole.replace(b"own-7", b"own-8")
    (tmp_path / name).write_bytes(cut if name.endswith(".gz") else altered)
    ended = await relay("dlq", "redrive", "--snapshot", name, *words, *QUICK)
    assert (ended.code, ended.err.count("\n"), name in ended.err) == (1, 1, True)
    assert (queues.bodies("main"), queues.visible("dead")) == ([], 30)


async def test_what_is_in_the_snapshot_but_not_in_the_queue_is_reported(
    relay: Relay, queues: LocalQueues
) -> None:
    await send_with_own_ids(queues, 5)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    words = ("redrive", "--snapshot", "seen.jsonl", "--yes", *QUICK)
    assert (await relay("dlq", *words, "--id", "own-1")).code == 0
    again = await relay("dlq", *words, "--journal", "run")
    assert again.code == 3
    assert "1 of the messages in the snapshot are not in the queue" in again.err
    assert json.loads(again.out)["missing"] == 1
    resumed = await relay("dlq", *words, "--journal", "run")
    assert json.loads(resumed.out)["missing"] == 1, "what it sent itself is not missing"


async def test_a_plan_leaves_out_what_sqs_has_deleted_since(
    relay: Relay, queues: LocalQueues
) -> None:
    sent_ago(queues, 30 * 86_400)
    await send_with_own_ids(queues, 3)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    ended = await relay("dlq", "redrive", "--snapshot", "seen.jsonl", "--json")
    plan = json.loads(ended.out)
    assert (plan["selected"], "3 of the messages in the snapshot are older than" in ended.err) == (
        0,
        True,
    )
    assert "relay dlq restore" in ended.err


async def test_statistics_of_an_old_snapshot_count_what_has_expired(
    relay: Relay, queues: LocalQueues
) -> None:
    sent_ago(queues, 30 * 86_400)
    await send_with_own_ids(queues, 3)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    output = (await relay("dlq", "stats", "seen.jsonl")).out
    assert "any moment" not in output
    assert "SQS has deleted 3 of them since" in output


@pytest.mark.parametrize("words", [("redrive",), ("drop", "--name", "*", "--confirm", "no")])
async def test_a_plan_of_a_fifo_queue_says_that_it_covers_a_part(
    relay: Relay, queues: LocalQueues, words: tuple[str, ...]
) -> None:
    for i in range(30):
        why = origin_attribute(f"id-{i}", source="main.fifo")
        await queues.send("dead.fifo", event(i), attributes=why)
    ended = await relay("dlq", *words, "--queue", "main.fifo", *QUICK)
    assert "20 more" in ended.err, "and they would be redriven, or deleted, too"


async def test_a_restore_into_another_queue_must_name_it(relay: Relay, queues: LocalQueues) -> None:
    await send_with_own_ids(queues, 2)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    queues.make("other-dead")
    queues.make("other", "other-dead")
    for words in ((), ("--yes",)):
        refused = await relay("dlq", "restore", "seen.jsonl", "--queue", "other", *words)
        assert (refused.code, "is a snapshot of the queue dead" in refused.err) == (2, True)
    assert queues.stored("other-dead") == ()
    named = await relay("dlq", "restore", "seen.jsonl", "--dlq", "other-dead", "--yes")
    assert named.code == 0, named
    assert len(queues.stored("other-dead")) == 2


async def test_a_restores_plan_says_how_many_and_where_to(
    relay: Relay, queues: LocalQueues
) -> None:
    await send_with_own_ids(queues, 3)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    ended = await relay("dlq", "restore", "seen.jsonl", "--id", "own-1")
    assert "1 of 3 messages would be put into dead, which has 3 now" in ended.out
