"""`relay dlq drop` and `restore`: confirmation, backup, and putting messages back."""

from pathlib import Path

from relay.local.sqs import Fault
from tests.dlq.conftest import QUICK, YES, Relay
from tests.dlq.queues import LocalQueues, event, origin_attribute, send_with_own_ids


async def test_no_confirmation_is_needed_if_nothing_matches(
    relay: Relay, queues: LocalQueues
) -> None:
    await queues.send("dead", event(), attributes=origin_attribute("id-1"))
    ended = await relay("dlq", "drop", "--name", "nobody/*", *QUICK, stdin="")
    assert ended.code == 0
    assert "Type dead" not in ended.err
    assert ended.err.endswith("relay: nothing matches the filters: nothing was dropped\n")
    assert queues.visible("dead") == 1


async def test_a_drop_needs_the_queues_name_and_leaves_a_backup_that_restores(
    relay: Relay, queues: LocalQueues
) -> None:
    await send_with_own_ids(queues, 4)
    await queues.send("dead", event(9), attributes=origin_attribute("keep", code="expiring"))
    wrong = await relay("dlq", "drop", "--code", "fails_alone", *QUICK, stdin="main\n")
    assert (wrong.code, queues.visible("dead")) == (2, 5)
    words = ("--code", "fails_alone", *QUICK, "--journal", "run")
    ended = await relay("dlq", "drop", *words, stdin="dead\n")
    assert ended.code == 0, ended
    assert queues.bodies("dead") == [event(9)]
    dry = await relay("dlq", "restore", "run/backup.jsonl")
    assert (dry.code, "4 of 4 messages would be put into dead, which has 1" in dry.out) == (
        0,
        True,
    )
    back = await relay("dlq", "restore", "run/backup.jsonl", "--yes", "--journal", "back")
    assert back.code == 0, back
    assert len(queues.bodies("dead")) == 5
    again = await relay("dlq", "restore", "run/backup.jsonl", "--yes", "--journal", "back")
    assert (again.code, len(queues.bodies("dead"))) == (0, 5)


async def test_a_drop_with_a_snapshot_leaves_what_arrived_since(
    relay: Relay, queues: LocalQueues
) -> None:
    await send_with_own_ids(queues, 2)
    await relay("dlq", "pull", "now.jsonl", *QUICK)
    await queues.send("dead", event(9), attributes=origin_attribute("later"))
    words = ("--code", "fails_alone", "--snapshot", "now.jsonl", *QUICK, "--confirm", "dead")
    ended = await relay("dlq", "drop", *words)
    assert ended.code == 0, ended
    assert queues.bodies("dead") == [event(9)]


async def test_a_drop_refuses_the_snapshot_of_another_queue(
    relay: Relay, queues: LocalQueues
) -> None:
    await send_with_own_ids(queues, 1)
    await relay("dlq", "pull", "now.jsonl", *QUICK)
    words = ("--code", "fails_alone", "--snapshot", "now.jsonl", "--confirm", "dead.fifo")
    ended = await relay("dlq", "drop", *words, "--dlq", "dead.fifo", *QUICK)
    assert (ended.code, queues.visible("dead")) == (2, 1)


async def test_a_restore_keeps_the_id_of_a_message_that_sqs_moved(
    relay: Relay, queues: LocalQueues
) -> None:
    [message_id] = await queues.send("main", event())
    await queues.move_by_sqs()
    await relay("dlq", "pull", "now.jsonl", *QUICK)
    queues.sqs.queues["dead"].clear()
    assert (await relay("dlq", "restore", "now.jsonl", "--yes")).code == 0
    assert (await relay("dlq", "redrive", *YES)).code == 0
    [origin] = queues.origins("main")
    assert (origin["id"], origin["source"], origin["hops"]) == (message_id, "main", 1)


async def test_a_message_is_dropped_only_after_its_backup(
    relay: Relay, queues: LocalQueues, tmp_path: Path
) -> None:
    await send_with_own_ids(queues, 3)
    queues.sqs.faults.add(Fault(action="DeleteMessageBatch", error="AccessDenied"))
    words = ("--name", "*", *QUICK, "--confirm", "dead", "--journal", "run")
    assert (await relay("dlq", "drop", *words)).code == 1
    assert (tmp_path / "run" / "backup.jsonl").read_bytes().count(b"own-") == 3
    assert queues.visible("dead") == 3
