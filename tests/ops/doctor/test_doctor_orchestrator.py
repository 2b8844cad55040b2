"""The checks of the orchestrator and its keys, each with a response that makes it fail."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from relay.local.inngest import Fault, Rule
from tests.ops.doctor.conftest import EVENT_KEY, SIGNING_KEY, Deployment

Aws = Callable[[str], Any]
Refuse = Callable[..., None]


async def test_the_key_in_a_secret_is_looked_up_and_used(deployment: Deployment, aws: Aws) -> None:
    secret = aws("secretsmanager").create_secret(Name="good", SecretString=EVENT_KEY)["ARN"]
    del deployment.settings["RELAY_INNGEST_EVENT_KEY"]
    found = await deployment.check_destinations(RELAY_INNGEST_EVENT_KEY_SECRET=secret)
    assert found["secret.inngest-event-key"].status == "ok"
    assert found["orchestrator.event-key"].status == "ok"
    assert EVENT_KEY not in str(found)


async def test_an_absent_or_denied_secret_is_a_failure(
    deployment: Deployment, refusing: Refuse
) -> None:
    del deployment.settings["RELAY_INNGEST_EVENT_KEY"]
    found = await deployment.check_destinations(RELAY_INNGEST_EVENT_KEY_SECRET="absent")
    assert found["secret.inngest-event-key"].status == "fail"
    assert found["orchestrator.event-key"].status == "not checked"
    refusing("SECRETS_MANAGER")
    refused = (await deployment.check_destinations(RELAY_INNGEST_EVENT_KEY_SECRET="absent"))[
        "secret.inngest-event-key"
    ]
    assert refused.statement is not None
    assert refused.statement.actions == ("secretsmanager:GetSecretValue",)


async def test_a_wrong_event_key_is_a_failure_and_is_not_shown(deployment: Deployment) -> None:
    found = await deployment.check_destinations(RELAY_INNGEST_EVENT_KEY="wrong-key-77aa")
    assert found["orchestrator.event-key"].status == "fail"
    assert "wrong-key-77aa" not in str(found)


async def test_a_wrong_signing_key_is_reported_and_not_shown(deployment: Deployment) -> None:
    found = await deployment.check_destinations(RELAY_INNGEST_SIGNING_KEY="ffff0000")
    assert found["orchestrator.read-back"].status == "fail"
    assert "ffff0000" not in str(found)
    off = await deployment.check_destinations(
        RELAY_INNGEST_SIGNING_KEY="ffff0000", RELAY_CONFIRM="off"
    )
    assert off["orchestrator.read-back"].status == off["orchestrator.confirm"].status == "warn"
    assert SIGNING_KEY not in str(off)


async def test_an_address_of_another_server_is_a_failure(deployment: Deployment) -> None:
    deployment.inngest.script.add(
        Rule(fault=Fault(accept=0, status=200, body="<html>"), times=None)
    )
    assert (await deployment.check_destinations())["orchestrator.url"].status == "fail"


async def test_an_inconclusive_response_is_not_checked(deployment: Deployment) -> None:
    deployment.inngest.script.add(Rule(fault=Fault(accept=0, status=500), times=None))
    assert (await deployment.check_destinations())["orchestrator.event-key"].status == "not checked"


async def test_a_server_that_is_down_is_a_failure(deployment: Deployment) -> None:
    await deployment.inngest.down()
    result = (await deployment.check_destinations())["orchestrator.reachable"]
    assert result.status == "fail"
    assert "refuses connections" in result.found


async def test_the_kind_of_server_is_what_it_says_with_its_answer(deployment: Deployment) -> None:
    answers = deployment.inngest.script
    answers.add(Rule(fault=Fault(headers={"X-Inngest-Server-Kind": "dev"})))
    answers.add(Rule(fault=Fault(headers={"X-Inngest-Server-Kind": "cloud"})))
    found = await deployment.check_destinations()
    assert found["orchestrator.persistence"].status == "warn"
    assert "`inngest dev`" in found["orchestrator.persistence"].found
    assert "any key" in found["orchestrator.event-key"].found
    found = await deployment.check_destinations()
    assert found["orchestrator.persistence"].status == "not checked"
    assert "`inngest start`" in found["orchestrator.persistence"].found
    assert found["orchestrator.event-key"].found == "valid"


async def test_a_restart_is_said_to_forget_ids_and_a_ledger_to_help(deployment: Deployment) -> None:
    found = (await deployment.check_destinations())["orchestrator.persistence"]
    assert "the ids by which it deduplicates" in found.why
    assert "after a clean stop as well" in found.why
    assert "RELAY_LEDGER_TABLE" in found.fix
    found = (await deployment.check_destinations(RELAY_LEDGER_TABLE="ledger"))[
        "orchestrator.persistence"
    ]
    assert "RELAY_LEDGER_TABLE" not in found.fix


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"RELAY_INNGEST_URL": "ftp://127.0.0.1"}, "RELAY_INNGEST_URL"),
        (
            # Self-hosted, confirm mode by default, and no signing key: the three don't go together.
            {"RELAY_INNGEST_URL": "https://inngest.example.com", "RELAY_INNGEST_SIGNING_KEY": ""},
            "RELAY_INNGEST_URL",
        ),
        ({"RELAY_DESTINATION": "ingest"}, "RELAY_DESTINATION"),
        ({"RELAY_INNGEST_EVENT_KEY_SECRET": "also"}, "RELAY_INNGEST_EVENT_KEY"),
    ],
)
async def test_a_server_that_the_settings_do_not_name_is_sent_nothing(
    settings: dict[str, str], named: str, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up = list[str]()

    def look_up(host: str, *_rest: Any, **_more: Any) -> Any:
        looked_up.append(host)
        raise OSError(host)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    found = await deployment.check_destinations(**settings)
    assert found["orchestrator"].status == "not checked"
    assert named in found["orchestrator"].found
    assert not any(name.startswith("orchestrator.") for name in found)
    assert looked_up == []
    assert not deployment.inngest.requests


async def test_events_are_read_back_as_confirm_mode_does(deployment: Deployment) -> None:
    found = (await deployment.check_destinations())["orchestrator.read-back"]
    assert (found.status, "no event yet" in found.found) == ("ok", True)
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"{deployment.inngest.url}/e/{EVENT_KEY}"
        await client.post(url, json={"name": "a", "id": "1"})
    await deployment.inngest.settled()
    found = (await deployment.check_destinations())["orchestrator.read-back"]
    assert (found.status, "tried with the newest" in found.found) == ("ok", True)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"error":"database is locked","data":null,"status":500}', "500"),
        ('{"data":{"internal_id":"01J"},"metadata":{},"status":200}', "that never existed"),
        ("", "unreadable"),
    ],
)
async def test_a_list_that_works_does_not_hide_that_one_event_cannot_be_read(
    body: str, said: str, deployment: Deployment
) -> None:
    deployment.inngest.script.add(
        Rule(fault=Fault(status=200, body=body), path="/v1/events/", times=None)
    )
    found = (await deployment.check_destinations())["orchestrator.read-back"]
    assert found.status == "fail"
    assert said in found.found
    assert found.fix


async def test_another_destination_is_not_queried(deployment: Deployment) -> None:
    address = "https://hooks.example.com/x"
    found = await deployment.check_destinations(
        RELAY_DESTINATION="webhook", RELAY_WEBHOOK_URL=address
    )
    assert found["orchestrator"].status == "not checked"
    assert not deployment.inngest.requests


async def test_with_routes_only_their_destinations_are_checked(deployment: Deployment) -> None:
    others = {
        "RELAY_WEBHOOK_URL": "https://hooks.example.com/x",
        "RELAY_ARGO_URL": "https://argo.example.com",
        "RELAY_ARGO_TEMPLATE": "orders",
    }
    found = await deployment.check_destinations(RELAY_ROUTES="a/*=webhook,*=argo", **others)
    assert "webhook, argo" in found["orchestrator"].found
    assert not deployment.inngest.requests
    found = await deployment.check_destinations(RELAY_ROUTES="a/*=webhook,*=inngest", **others)
    assert found["orchestrator"].status == "not checked"
    assert found["orchestrator.event-key"].status == "ok"
