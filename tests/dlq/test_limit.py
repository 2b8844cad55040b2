"""A limit is a limit of the whole redrive: its canary and what a run before brought count too."""

import json

import pytest

from relay.local.inngest import InngestServer
from relay.local.sqs import Fault
from tests.dlq.conftest import QUICK, Relay
from tests.dlq.place import Place, event, noted


@pytest.fixture(autouse=True)
async def dead(place: Place) -> None:
    for i in range(20):
        await place.send("dead", event(i, id=f"own-{i}"), attributes=noted(f"id-{i}"))


async def test_a_canary_counts(relay: Relay, place: Place, environ: dict[str, str]) -> None:
    environ |= {"RELAY_INNGEST_EVENT_KEY": "local", "RELAY_CONFIRM": "off"}
    async with InngestServer(0) as inngest:
        environ["RELAY_INNGEST_URL"] = inngest.url
        words = ("--yes", "--limit", "10", "--canary", "2", *QUICK)
        ended = await relay("dlq", "redrive", *words)
        assert (ended.code, len(inngest.events)) == (0, 2), ended
    assert (len(place.bodies("main")), place.visible("dead")) == (8, 10)


async def test_what_a_run_brought_before_counts(relay: Relay, place: Place) -> None:
    words = ("redrive", "--yes", "--limit", "10", "--journal", "run", *QUICK)
    place.sqs.faults.add(Fault(action="DeleteMessageBatch", error="AccessDenied", times=9))
    assert (await relay("dlq", *words)).code == 1
    place.sqs.faults.clear()
    again = await relay("dlq", *words)
    assert json.loads(again.out)["deleted"] == 10, again
    assert (len(place.bodies("main")), place.visible("dead")) == (10, 10)
