"""Looking at dead letters changes nothing that is said about them."""

from __future__ import annotations

import json

from tests.dlq.conftest import QUICK, Relay
from tests.dlq.queues import LocalQueues, event


async def test_the_reason_of_what_sqs_moved_does_not_grow_by_looking(
    relay: Relay, queues: LocalQueues
) -> None:
    await queues.send("main", event(1))
    await queues.move_by_sqs()
    looks = [json.loads((await relay("dlq", "list", "--json", *QUICK)).out) for _ in range(3)]
    assert looks[0]["code"] == "moved_by_sqs"
    assert looks[0] == looks[1] == looks[2]
