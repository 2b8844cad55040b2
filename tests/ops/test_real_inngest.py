"""`relay doctor` and `relay trace` against a real Inngest server, `dev` or `start`."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Mapping

import pytest

from relay.app.doctor import check_destinations
from relay.app.trace import TraceOptions, trace_event
from relay.destinations.inngest.event_api import Inngest
from relay.envelope import Decoded, Rules, decode
from relay.model.message import Message
from relay.model.outcome import Delivered
from relay.ops.doctor.result import CheckResult
from relay.settings.loading import load

DEV = {"RELAY_INNGEST_URL": os.environ.get("INNGEST_DEV_URL", "")}
START = {
    "RELAY_INNGEST_URL": os.environ.get("INNGEST_START_URL", ""),
    "RELAY_INNGEST_EVENT_KEY": os.environ.get("INNGEST_START_EVENT_KEY", ""),
    "RELAY_INNGEST_SIGNING_KEY": os.environ.get("INNGEST_START_SIGNING_KEY", ""),
}
SERVERS = [
    pytest.param(
        settings,
        id=kind,
        marks=pytest.mark.skipif(
            not settings["RELAY_INNGEST_URL"],
            reason=f"needs a real server: INNGEST_{kind.upper()}_URL, and for `start` its keys in"
            " INNGEST_START_EVENT_KEY and INNGEST_START_SIGNING_KEY",
        ),
    )
    for kind, settings in (("dev", DEV), ("start", START))
]


async def check(settings: Mapping[str, str]) -> dict[str, CheckResult]:
    return {result.check: result for result in await check_destinations(load(settings))}


async def send(settings: Mapping[str, str], body: str) -> list[str]:
    """Send the events in a message's body as the relay does; returns the server's ids."""

    async def key() -> str:
        return settings.get("RELAY_INNGEST_EVENT_KEY") or "relay"

    found = decode(Message(body=body.encode(), message_id="m", queue="main"), Rules())
    assert isinstance(found, Decoded), found
    async with Inngest(settings["RELAY_INNGEST_URL"], key) as inngest:
        outcomes = await inngest.send(found.events)
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    return [str(outcome.reference) for outcome in outcomes if isinstance(outcome, Delivered)]


@pytest.mark.parametrize("settings", SERVERS)
async def test_a_healthy_server_passes_every_check(settings: dict[str, str]) -> None:
    await send(settings, '{"name": "relay/doctor"}')
    async with asyncio.timeout(10):
        while True:
            found = await check(settings)
            if "tried with the newest" in found["orchestrator.read-back"].found:
                break
    assert found["orchestrator.read-back"].status == "ok"
    assert found["orchestrator.event-key"].status == "ok"
    kind = "dev" if settings is DEV else "start"
    assert f"`inngest {kind}`" in found["orchestrator.persistence"].found


@pytest.mark.parametrize("settings", SERVERS[1:])
async def test_wrong_keys_fail(settings: dict[str, str]) -> None:
    wrong = {"RELAY_INNGEST_EVENT_KEY": "wrong", "RELAY_INNGEST_SIGNING_KEY": "0123"}
    found = await check(settings | wrong)
    assert found["orchestrator.event-key"].status == "fail"
    assert "RELAY_INNGEST_SIGNING_KEY" in found["orchestrator.read-back"].fix


@pytest.mark.parametrize("settings", SERVERS)
async def test_a_path_that_is_not_the_apis_fails(settings: dict[str, str]) -> None:
    found = await check(settings | {"RELAY_INNGEST_URL": settings["RELAY_INNGEST_URL"] + "/ui"})
    assert found["orchestrator.url"].status == "fail"
    assert found["orchestrator.read-back"].status == "fail"


@pytest.mark.parametrize("settings", SERVERS)
async def test_meta_and_fields_in_another_case_are_accepted_and_traced(
    settings: dict[str, str],
) -> None:
    ident = uuid.uuid4().hex
    body = f'{{"NAME": "relay/trace", "Id": "{ident}", "meta": {{"sessions": {{"a": 1}}}}}}'
    (ulid,) = await send(settings, body)
    async with asyncio.timeout(10):
        while True:
            found = await trace_event(ident, load(settings).settings, TraceOptions())
            if found.entries:
                break
    assert found.gaps == ()
    assert found.known.events == {("relay/trace", ident)}
    assert [entry.what.partition(" yet")[0] for entry in found.entries] == [
        f"stored as {ulid}",
        f"no run of {ulid} is listed",
    ]
