"""The incident itself: what the other tests rely on."""

from __future__ import annotations

import msgspec

from tests.dlq import incident
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.queues import LocalQueues


async def test_it_has_325_dead_letters_of_nine_kinds_of_which_90_would_die_again(
    relay: Relay, queues: LocalQueues
) -> None:
    await incident.make_incident(queues)
    assert len(queues.stored(incident.DEAD)) == incident.COUNT == 325
    assert incident.FAILING == 90
    ended = await relay("dlq", "stats", "--queue", incident.MAIN, "--json", *QUICK)
    groups = {
        (one["name"], one["code"]): one["count"] for one in msgspec.json.decode(ended.out)["groups"]
    }
    assert groups == {(kind.name, kind.code): kind.count for kind in incident.KINDS}
