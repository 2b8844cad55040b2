"""What a redrive or a restore does with a snapshot: a whole one of this queue, or a sentence."""

import gzip
import json
import time
from pathlib import Path

import pytest

from tests.dlq.conftest import QUICK, Relay
from tests.dlq.place import Place, event, noted


def sent_ago(place: Place, seconds: float) -> None:
    """From now on letters are sent so long ago, by the clock that the commands have."""
    place.clock.advance(time.time() - seconds - place.clock.time())


async def letters(place: Place, count: int, **more: str) -> None:
    for i in range(count):
        await place.send("dead", event(i, id=f"own-{i}"), attributes=noted(f"id-{i}", **more))


@pytest.mark.parametrize("words", [(), ("--yes",)], ids=["plan", "yes"])
async def test_a_snapshot_of_another_queue_is_refused(
    relay: Relay, place: Place, words: tuple[str, ...]
) -> None:
    await letters(place, 2)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    place.make("other-dead")
    place.make("other", "other-dead")
    snapshot = ("--snapshot", "seen.jsonl", "--queue", "other")
    ended = await relay("dlq", "redrive", *snapshot, *words, *QUICK)
    assert (ended.code, ended.out) == (2, "")
    assert "seen.jsonl is of the queue dead, and this is other-dead" in ended.err


@pytest.mark.parametrize("words", [(), ("--yes",)], ids=["plan", "yes"])
@pytest.mark.parametrize("name", ["cut.jsonl.gz", "altered.jsonl"])
async def test_a_damaged_snapshot_ends_a_redrive_before_it_begins(
    relay: Relay, place: Place, tmp_path: Path, name: str, words: tuple[str, ...]
) -> None:
    await letters(place, 30)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    whole = (tmp_path / "seen.jsonl").read_bytes()
    cut, altered = gzip.compress(whole)[:600], whole.replace(b"own-7", b"own-8")
    (tmp_path / name).write_bytes(cut if name.endswith(".gz") else altered)
    ended = await relay("dlq", "redrive", "--snapshot", name, *words, *QUICK)
    assert (ended.code, ended.err.count("\n"), name in ended.err) == (1, 1, True)
    assert (place.bodies("main"), place.visible("dead")) == ([], 30)


async def test_what_is_in_the_snapshot_and_gone_from_the_queue_is_told(
    relay: Relay, place: Place
) -> None:
    await letters(place, 5)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    words = ("redrive", "--snapshot", "seen.jsonl", "--yes", *QUICK)
    assert (await relay("dlq", *words, "--id", "own-1")).code == 0
    again = await relay("dlq", *words, "--journal", "run")
    assert again.code == 3
    assert "1 of the messages in the snapshot are not in the queue" in again.err
    assert json.loads(again.out)["missing"] == 1
    resumed = await relay("dlq", *words, "--journal", "run")
    assert json.loads(resumed.out)["missing"] == 1, "what it brought itself is not missing"


async def test_a_plan_leaves_out_what_sqs_has_deleted_since(relay: Relay, place: Place) -> None:
    sent_ago(place, 30 * 86_400)
    await letters(place, 3)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    ended = await relay("dlq", "redrive", "--snapshot", "seen.jsonl", "--json")
    plan = json.loads(ended.out)["plan"]
    assert (plan["goes"], "3 of the messages in the snapshot are older than" in ended.err) == (
        0,
        True,
    )
    assert "relay dlq restore" in ended.err


async def test_statistics_of_an_old_snapshot_do_not_call_the_past_the_future(
    relay: Relay, place: Place
) -> None:
    sent_ago(place, 30 * 86_400)
    await letters(place, 3)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    told = (await relay("dlq", "stats", "seen.jsonl")).out
    assert "any moment" not in told
    assert "SQS has deleted 3 of them since" in told


@pytest.mark.parametrize("words", [("redrive",), ("drop", "--name", "*", "--confirm", "no")])
async def test_a_plan_of_a_fifo_queue_says_that_it_saw_a_part(
    relay: Relay, place: Place, words: tuple[str, ...]
) -> None:
    for i in range(30):
        why = noted(f"id-{i}", source="main.fifo")
        await place.send("dead.fifo", event(i), attributes=why)
    ended = await relay("dlq", *words, "--queue", "main.fifo", *QUICK)
    assert "20 more" in ended.err, "and they would go, or be deleted, too"


async def test_a_restore_into_another_queue_wants_it_named(relay: Relay, place: Place) -> None:
    await letters(place, 2)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    place.make("other-dead")
    place.make("other", "other-dead")
    for words in ((), ("--yes",)):
        refused = await relay("dlq", "restore", "seen.jsonl", "--queue", "other", *words)
        assert (refused.code, "is of the queue dead" in refused.err) == (2, True)
    assert place.stored("other-dead") == ()
    named = await relay("dlq", "restore", "seen.jsonl", "--dlq", "other-dead", "--yes")
    assert named.code == 0, named
    assert len(place.stored("other-dead")) == 2


async def test_a_restores_plan_says_how_many_and_where_to(relay: Relay, place: Place) -> None:
    await letters(place, 3)
    await relay("dlq", "pull", "seen.jsonl", *QUICK)
    ended = await relay("dlq", "restore", "seen.jsonl", "--id", "own-1")
    assert "1 of 3 messages would be put into dead, which holds 3 now" in ended.out
