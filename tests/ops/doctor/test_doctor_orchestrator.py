"""The checks of the orchestrator and its keys, each with an answer that makes it fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from relay.local.inngest import Fault, Rule
from tests.ops.doctor.conftest import EVENT_KEY, SIGNING_KEY, World

Aws = Callable[[str], Any]
Refuse = Callable[..., None]


async def test_a_secret_is_looked_up_and_its_key_used(world: World, aws: Aws) -> None:
    secret = aws("secretsmanager").create_secret(Name="good", SecretString=EVENT_KEY)["ARN"]
    del world.settings["RELAY_INNGEST_EVENT_KEY"]
    found = await world.ask(RELAY_INNGEST_EVENT_KEY_SECRET=secret)
    assert found["secret.inngest-event-key"].state == "ok"
    assert found["orchestrator.event-key"].state == "ok"
    assert EVENT_KEY not in str(found)


async def test_a_secret_that_is_absent_or_refused_is_found(world: World, refusing: Refuse) -> None:
    del world.settings["RELAY_INNGEST_EVENT_KEY"]
    found = await world.ask(RELAY_INNGEST_EVENT_KEY_SECRET="absent")
    assert found["secret.inngest-event-key"].state == "fail"
    assert found["orchestrator.event-key"].state == "not checked"
    refusing("SECRETS_MANAGER")
    refused = (await world.ask(RELAY_INNGEST_EVENT_KEY_SECRET="absent"))["secret.inngest-event-key"]
    assert refused.statement is not None
    assert refused.statement.actions == ("secretsmanager:GetSecretValue",)


async def test_a_wrong_event_key_is_found_and_not_shown(world: World) -> None:
    found = await world.ask(RELAY_INNGEST_EVENT_KEY="wrong-key-77aa")
    assert found["orchestrator.event-key"].state == "fail"
    assert "wrong-key-77aa" not in str(found)


async def test_a_wrong_signing_key_is_found_and_not_shown(world: World) -> None:
    found = await world.ask(RELAY_INNGEST_SIGNING_KEY="ffff0000")
    assert found["orchestrator.read-back"].state == "fail"
    assert "ffff0000" not in str(found)
    off = await world.ask(RELAY_INNGEST_SIGNING_KEY="ffff0000", RELAY_CONFIRM="off")
    assert off["orchestrator.read-back"].state == off["orchestrator.confirm"].state == "warn"
    assert SIGNING_KEY not in str(off)


async def test_an_address_that_is_not_the_event_apis_is_found(world: World) -> None:
    world.inngest.script.add(Rule(fault=Fault(accept=0, status=200, body="<html>"), times=None))
    assert (await world.ask())["orchestrator.url"].state == "fail"


async def test_an_answer_that_tells_nothing_is_not_checked(world: World) -> None:
    world.inngest.script.add(Rule(fault=Fault(accept=0, status=500), times=None))
    assert (await world.ask())["orchestrator.event-key"].state == "not checked"


async def test_a_server_that_is_down_is_found(world: World) -> None:
    await world.inngest.down()
    finding = (await world.ask())["orchestrator.reachable"]
    assert finding.state == "fail"
    assert "refuses connections" in finding.found


async def test_a_dev_server_is_named_as_one(world: World) -> None:
    told = json.dumps({"startOpts": {}, "isSingleNodeService": False})
    world.inngest.script.add(Rule(fault=Fault(status=200, body=told), path="/dev", times=None))
    found = await world.ask()
    assert found["orchestrator.persistence"].state == "warn"
    assert "any key" in found["orchestrator.event-key"].found


async def test_another_destination_is_asked_nothing(world: World) -> None:
    address = "https://hooks.example.com/x"
    found = await world.ask(RELAY_DESTINATION="webhook", RELAY_WEBHOOK_URL=address)
    assert found["orchestrator"].state == "not checked"
    assert not world.inngest.requests


async def test_with_routes_their_destinations_count_and_no_other(world: World) -> None:
    others = {
        "RELAY_WEBHOOK_URL": "https://hooks.example.com/x",
        "RELAY_ARGO_URL": "https://argo.example.com",
        "RELAY_ARGO_TEMPLATE": "orders",
    }
    found = await world.ask(RELAY_ROUTES="a/*=webhook,*=argo", **others)
    assert "webhook, argo" in found["orchestrator"].found
    assert not world.inngest.requests
    found = await world.ask(RELAY_ROUTES="a/*=webhook,*=inngest", **others)
    assert found["orchestrator"].state == "not checked"
    assert found["orchestrator.event-key"].state == "ok"
