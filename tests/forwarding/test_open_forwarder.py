"""Several destinations opened from the settings: each with its own events, circuit and rate."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Any, get_args

import pytest

from relay.app.forwarding import open_forwarder, rate_for, setting_to_check
from relay.aws.session import SharedSession
from relay.local.orchestrators import APIS, Server
from relay.model.event import Event
from relay.model.facts import CircuitChanged, Fact
from relay.model.outcome import Delivered, Reject, Retry
from relay.settings.destination_value_types import Destination
from relay.settings.loading import load
from relay.settings.missing import missing
from relay.settings.reference import names, variable

ROUTES = "order/*=argo,user/*=webhook"


def event(name: str, event_id: str) -> Event:
    return Event(id=event_id, name=name, data=b"{}")


def settings(**variables: str) -> Any:
    loaded = load(variables)
    assert loaded.errors == ()
    return loaded.settings


async def test_each_event_goes_to_its_destination_and_an_outage_does_not_affect_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    argo, webhook = APIS["argo"](), APIS["webhook"]()
    facts: list[CircuitChanged] = []
    changed = asyncio.Event()

    def observe(fact: Fact) -> None:
        if isinstance(fact, CircuitChanged):
            facts.append(fact)
            changed.set()

    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(Server(argo.respond))
        other = await stack.enter_async_context(Server(webhook.respond))
        chosen = settings(
            RELAY_ROUTES=ROUTES,
            RELAY_ROUTE_MAX_HELD="2",
            RELAY_ARGO_URL=one.url,
            RELAY_WEBHOOK_URL=f"{other.url}/hook",
            **argo.settings,
            **webhook.settings,
        )
        assert missing(chosen) == []
        with caplog.at_level(logging.WARNING):
            opened = await open_forwarder(
                chosen, stack, SharedSession(stack), lambda d: d, observe, pushed=True
            )
        assert "a queue of its own" in caplog.text
        assert opened.concurrency() == 32
        forwarder = opened.forwarder
        assert await forwarder.submit(event("order/placed", "a")) == Delivered(
            next(iter(argo.starts.started))
        )
        assert await forwarder.submit(event("user/left", "b")) == Delivered()
        assert isinstance(await forwarder.submit(event("other", "c")), Reject)
        await one.down()
        held = [asyncio.ensure_future(forwarder.submit(event("order/x", str(i)))) for i in range(2)]
        await changed.wait()
        assert await forwarder.submit(event("user/left", "d")) == Delivered()
        await forwarder.stop(0)
        assert all(isinstance(outcome, Retry) for outcome in await asyncio.gather(*held))
    assert facts[0].reason.startswith("argo: ")
    assert len(webhook.starts.started) == 2


@pytest.mark.parametrize(
    ("destination", "needs"),
    [
        ("step-functions", "RELAY_STEP_FUNCTIONS_ARN"),
        ("prefect", "RELAY_PREFECT_DEPLOYMENT"),
        ("argo", "RELAY_ARGO_TEMPLATE"),
        ("webhook", "RELAY_WEBHOOK_URL"),
        ("temporal", "RELAY_TEMPORAL_TASK_QUEUE"),
        ("bullmq", "RELAY_BULLMQ_QUEUE"),
    ],
)
def test_a_missing_setting_of_a_destination_is_named(destination: str, needs: str) -> None:
    sentences = missing(settings(RELAY_DESTINATION=destination))
    assert any(sentence.startswith(needs) for sentence in sentences)


@pytest.mark.parametrize("routes", ["order/*=airplane", "order/*", "=argo"])
def test_a_route_to_an_unknown_destination_is_an_error(routes: str) -> None:
    assert load({"RELAY_ROUTES": routes}).errors


@pytest.mark.parametrize(
    ("rate", "webhook", "argo"),
    [
        ("", 20.0, None),
        ("300", 300.0, 300.0),
        ("argo=5", 20.0, 5.0),
        ("webhook=2,300", 2.0, 300.0),
    ],
)
async def test_each_destination_has_its_own_rate(
    rate: str, webhook: float, argo: float | None
) -> None:
    chosen = settings(RELAY_ROUTES=ROUTES, RELAY_RATE_LIMIT=rate, RELAY_WEBHOOK_PRESET="zapier")
    assert rate_for("webhook", chosen) == webhook
    assert rate_for("argo", chosen) == argo


@pytest.mark.parametrize("rate", ["0", "fast", "airplane=3", ",", "webhook=1,webhook=2"])
def test_an_invalid_rate_setting_is_an_error(rate: str) -> None:
    (mistake,) = load({"RELAY_RATE_LIMIT": rate}).errors
    assert mistake.startswith("RELAY_RATE_LIMIT must be a number of events a second")


@pytest.mark.parametrize("name", get_args(Destination))
def test_each_destination_has_a_setting_to_check_when_it_delivers_nothing(name: str) -> None:
    variables = {variable(field) for field in names()}
    assert setting_to_check(name, settings()) in variables


def test_with_confirm_mode_the_setting_to_check_is_that_mode() -> None:
    local = settings(RELAY_INNGEST_URL="http://127.0.0.1:8288")
    assert setting_to_check("inngest", local) == "RELAY_CONFIRM"
    assert setting_to_check("inngest", settings()) == "RELAY_INNGEST_URL"
