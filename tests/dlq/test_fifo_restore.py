"""A restore into a FIFO queue keeps the order within each group, whatever SQS refuses."""

import json
from pathlib import Path

from relay.local.sqs import Fault
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.place import Place, event, noted


async def test_what_sqs_refuses_is_overtaken_by_none_of_its_group(
    relay: Relay, place: Place, tmp_path: Path
) -> None:
    for i in range(60):
        why = noted(f"id-{i}", source="main.fifo")
        await place.send("dead.fifo", event(i), attributes=why, group_id="ab"[i % 2])
    words = ("--queue", "main.fifo", "--journal", "dropped", "--confirm", "dead.fifo")
    dropped = await relay("dlq", "drop", "--name", "*", *words, *QUICK)
    assert (dropped.code, place.stored("dead.fifo")) == (0, ()), dropped
    refused = {0: "InvalidMessageContents"}
    place.sqs.faults.add(Fault(action="SendMessageBatch", entries=refused, sender_fault=True))
    backup = ("dlq", "restore", "dropped/backup.jsonl", "--yes", "--queue", "main.fifo")
    ended = await relay(*backup, "--journal", "run")
    assert ended.code == 3, ended
    skipped = json.loads(ended.out)["stays"]
    assert (skipped["not_sent"], skipped["blocked"]) == (1, 29)
    again = await relay(*backup, "--journal", "run")
    assert again.code == 0, again
    numbers = [json.loads(body)["data"]["number"] for body in place.bodies("dead.fifo")]
    assert sorted(numbers) == list(range(60))
    for group in (0, 1):
        mine = [number for number in numbers if number % 2 == group]
        assert mine == sorted(mine)
