"""Confirm mode with a real `inngest start`, which is killed and restarted by hand meanwhile."""

from __future__ import annotations

import asyncio
import os
import time
import uuid

import pytest

from relay.destinations.inngest.confirm import ConfirmedInngest
from relay.destinations.inngest.confirmations import Confirmations
from relay.destinations.inngest.event_api import Inngest
from relay.destinations.inngest.read_back import ReadBack
from relay.forwarding import Forwarder
from relay.model.event import Event
from relay.model.outcome import Delivered

URL = os.environ.get("INNGEST_START_URL", "")
COUNT = 2_000
IN_FLIGHT = asyncio.Semaphore(500)


async def _event_key() -> str:
    return os.environ.get("INNGEST_START_EVENT_KEY", "relay")


async def _signing_key() -> str | None:
    return os.environ.get("INNGEST_START_SIGNING_KEY")


@pytest.mark.skipif(
    not URL,
    reason="needs a real server: INNGEST_START_URL, INNGEST_START_EVENT_KEY and"
    " INNGEST_START_SIGNING_KEY; kill and restart it while this runs",
)
async def test_everything_delivered_is_still_stored_after_the_server_was_killed() -> None:
    run, start = uuid.uuid4().hex, time.time()
    async with (
        Inngest(URL, _event_key) as inngest,
        ReadBack(URL, _signing_key) as reading,
        Confirmations(reading, deadline=20) as confirmations,
    ):
        forwarder = Forwarder(ConfirmedInngest(inngest, confirmations, reading))

        async def deliver(number: int) -> str:
            event = Event(id=f"{run}-{number}", name=f"relay/{run}", data=b"{}")
            async with IN_FLIGHT:
                while True:
                    outcome = await forwarder.submit(event)
                    if isinstance(outcome, Delivered):
                        return str(outcome.reference)

        delivered = await asyncio.gather(*(deliver(number) for number in range(COUNT)))
        await forwarder.stop(5)
        stored, below = set[str](), ""
        while page := await reading.page(start - 600, below=below, name=f"relay/{run}"):
            stored.update(one.internal_id for one in page)
            below = page[-1].internal_id
    assert set(delivered) <= stored
