"""The pages *Event* and *Doctor*: the timeline with its links, and the findings with what to do."""

from __future__ import annotations

import json
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from relay.app.console.event import link_to
from relay.local.inngest import Function, InngestServer
from relay.ops.trace.timeline import TimelineEntry
from relay.settings.loading import load
from tests.console.running import SETTINGS, Console, local_queues, serving
from tests.console.test_dead_letters import shown
from tests.dlq import incident

SELF_HOSTED = {"RELAY_INNGEST_URL": "http://127.0.0.1:8288"}
CLOUD = {"RELAY_INNGEST_EVENT_KEY": "k", "RELAY_INNGEST_SIGNING_KEY": "s"}
BRANCH = CLOUD | {"RELAY_INNGEST_ENV": "my branch"}


async def test_an_event_of_a_dead_letter_is_found_in_the_snapshot_without_a_receive(
    console: Console, snapshot: httpx.AsyncClient
) -> None:
    before = sum(one.receive_count for one in console.queues.stored(incident.DEAD))
    text = await shown(snapshot, "/event?id=parcel-007")
    assert "Event shop/parcel.packed parcel-007" in text
    assert "in dead-letter queue shop-events-dlq as fails_alone" in text
    assert "SQS deletes it from shop-events-dlq" in text
    assert "inngest: 127.0.0.1:1 refuses connections" in text
    assert sum(one.receive_count for one in console.queues.stored(incident.DEAD)) == before


async def test_a_part_of_an_id_is_another_id(snapshot: httpx.AsyncClient) -> None:
    assert "No record of parcel-00 was found" in await shown(snapshot, "/event?id=parcel-00")


async def test_the_log_and_the_orchestrator_are_searched_too(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    log = tmp_path / "relay.log"
    async with InngestServer(functions=[Function(name="f", on="*")]) as inngest:
        async with httpx.AsyncClient(trust_env=False) as client:
            sent = await client.post(
                f"{inngest.url}/e/key", json={"id": "e-1", "name": "n", "data": {}}
            )
        await inngest.settled()
        reference = sent.json()["ids"][0]
        line = {"events": [{"id": "e-1", "name": "n", "reference": reference}]}
        about = {"outcome": "delivered", "message_id": "m-1", "time": time.time()}
        log.write_text(json.dumps(line | about) + "\n")
        queues = await stack.enter_async_context(local_queues())
        queues.make("dead")
        queues.make("main", "dead")
        settings = SETTINGS | {"RELAY_QUEUE_URL": "main", "RELAY_INNGEST_URL": inngest.url}
        settings |= {"RELAY_LOG_FILE": str(log)}
        console = await stack.enter_async_context(serving(queues, tmp_path, settings))
        browser = await console.browser(stack)
        page = (await browser.get("/event", params={"id": reference, "name": "n"})).text
        assert f"stored as {reference}" in page
        assert f'href="{inngest.url}/event?eventID={reference}"' in page
        assert f'href="{inngest.url}/run?runID=' in page


@pytest.mark.parametrize(
    ("settings", "details", "address"),
    [
        (SELF_HOSTED, {"run_id": "R1"}, "http://127.0.0.1:8288/run?runID=R1"),
        (SELF_HOSTED, {"reference": "E1"}, "http://127.0.0.1:8288/event?eventID=E1"),
        (CLOUD, {"run_id": "R1"}, "https://app.inngest.com/env/production/runs/R1"),
        (BRANCH, {"reference": "E/1"}, "https://app.inngest.com/env/my%20branch/events/E%2F1"),
        (CLOUD, {"run_id": None, "reference": 7}, None),
        ({**CLOUD, "RELAY_DESTINATION": "argo"}, {"run_id": "R1"}, None),
    ],
)
def test_entries_lead_to_the_pages_of_inngest(
    settings: dict[str, str], details: dict[str, object], address: str | None
) -> None:
    entry = TimelineEntry(at=None, source="inngest", what="x", details=details)
    assert link_to(load(settings).settings, entry) == address


async def test_the_doctor_lists_first_what_needs_a_person_and_says_what_to_do(
    console: Console, browser: httpx.AsyncClient
) -> None:
    assert "Nothing is changed." in await shown(browser, "/doctor")
    for mode in ("push", "pull"):
        response = await console.submit(browser, "/doctor", "/doctor", mode=mode)
        assert response.status_code == 200
        page = response.text
        assert "orchestrator.reachable" in page
        assert page.index(">fail<") < page.index(">warn<") < page.index("without a finding")
        assert "What to do:" in page
        assert ("relay doctor --pull" in page) is (mode == "pull")
    assert sum(one.receive_count for one in console.queues.stored(incident.DEAD)) == 30
