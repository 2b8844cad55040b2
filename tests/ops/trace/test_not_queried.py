"""Destinations that `relay trace` does not query: it says under which id to look there."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from relay.app.destinations import open_single_event_destination
from relay.app.destinations.lookup import id_there
from relay.aws.session import SharedSession
from relay.local.orchestrators.apis import EMULATED, missing_dependency
from relay.local.orchestrators.emulator import Emulator
from relay.model.event import Event
from relay.model.outcome import Delivered
from relay.settings.loading import load
from tests.ops.doctor.conftest import run
from tests.ops.trace.conftest import EVENT, MESSAGE, NOW, outcome_line

WEBHOOK = {"RELAY_DESTINATION": "webhook", "RELAY_WEBHOOK_URL": "https://hooks.test/x"}


@pytest.mark.parametrize("event_id", ["order-1", "relay-order", "né", "x" * 256])
@pytest.mark.parametrize("name", EMULATED)
async def test_the_id_is_the_one_that_the_destination_gets(
    name: str, event_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing_dependency(name):
        pytest.skip(f"the libraries of {name} are not installed")
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(Emulator(name))
        given = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}
        for variable, value in {**given, **emulator.settings}.items():
            monkeypatch.setenv(variable, value)
        loaded = load()
        assert not loaded.problems
        opening = open_single_event_destination(
            name, loaded.settings, SharedSession(stack), lambda _: None
        )
        destination, _ = await stack.enter_async_context(opening)
        (outcome,) = await destination.send([Event(event_id, "shop/paid")])
        await emulator.settled()
        (stored,) = emulator.events
    assert isinstance(outcome, Delivered)
    there = id_there(loaded.settings, name, "shop/paid", event_id)
    assert there is not None
    # The key of a flow run begins with its deployment.
    assert there.endswith(f" {stored.internal_id.rpartition(':')[2]}")


async def test_the_gap_says_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    line = outcome_line(MESSAGE, Delivered(), (EVENT, Delivered()), at=NOW)
    result = await run("trace", "order-1", "--log", "-", stdin=line, **WEBHOOK)
    assert result.code == 0
    assert result.err == (
        "relay: webhook: this command does not query it: look there for request with the header"
        " Idempotency-Key order-1\n"
    )


async def test_without_a_known_event_the_gap_names_the_destination_only() -> None:
    result = await run("trace", "order-1", **WEBHOOK)
    assert result.code == 1
    assert result.err.startswith("relay: webhook: this command does not query it\n")


def test_with_routes_only_the_destination_of_the_event_is_named() -> None:
    routes = {**WEBHOOK, "RELAY_ROUTES": "shop/*=webhook, *=inngest"}
    settings = load(routes).settings
    assert id_there(settings, "webhook", "shop/paid", "a") is not None
    assert id_there(settings, "webhook", "media/uploaded", "a") is None
