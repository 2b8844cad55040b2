"""The checks of settings, credentials and queues, each with a world in which it fails."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from relay.local.sqs import Fault as SqsFault
from tests.ops.doctor.conftest import ARN, EVENT_KEY, World, table

Aws = Callable[[str], Any]
Refuse = Callable[..., None]


async def test_a_healthy_world_has_nothing_to_mend(world: World) -> None:
    found = await world.look()
    assert {f.check for f in found.values() if f.state not in ("ok", "not checked")} == set()
    assert sum(f.state == "ok" for f in found.values()) >= 25


async def test_looking_changes_nothing(world: World) -> None:
    before = world.sqs.requests.copy()
    await world.look()
    asked = set(world.sqs.requests - before)
    assert asked == {
        "GetQueueUrl",
        "GetQueueAttributes",
        "DeleteMessageBatch",
        "ChangeMessageVisibilityBatch",
    }
    assert not world.inngest.events


async def test_mistakes_in_the_settings_come_first(world: World) -> None:
    found = await world.look(RELAY_HOLD="long", RELAY_HODL="1")
    assert found["settings"].state == "fail"
    assert "RELAY_HOLD" in found["settings"].found


async def test_a_setting_that_is_none_is_a_warning(world: World) -> None:
    assert (await world.look(RELAY_HODL="1"))["settings"].state == "warn"


async def test_the_cloud_without_a_key_fails_and_nobody_is_called(world: World) -> None:
    del world.settings["RELAY_INNGEST_URL"], world.settings["RELAY_INNGEST_EVENT_KEY"]
    found = await world.look()
    assert found["settings"].state == "fail"
    assert found["orchestrator.event-key"].state == "not checked"


async def test_no_region_and_no_credentials_are_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    found = await world.look()
    assert found["aws.region"].state == found["aws.credentials"].state == "fail"
    assert found["queue.exists"].state == "fail"
    assert found["clock"].state == "not checked"


async def test_credentials_are_not_called_wrong_where_nobody_can_be_asked_about_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    found = await world.look()
    assert found["aws.credentials"].state == "not checked"
    assert found["queue.exists"].state == "ok"


async def test_a_profile_that_does_not_exist_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "absent")
    found = await world.look()
    assert found["aws.session"].state == "fail"
    assert found["orchestrator.event-key"].state == "ok"


@pytest.mark.parametrize(("off", "state"), [(400.0, "fail"), (-400.0, "fail"), (60.0, "warn")])
async def test_a_clock_that_is_off_is_found(world: World, off: float, state: str) -> None:
    found = await world.look(clock=lambda: time.time() + off)
    assert found["clock"].state == state
    assert ("ahead" in found["clock"].found) is (off > 0)


async def test_queues_that_do_not_exist_are_told(world: World) -> None:
    url = f"{world.sqs.url}/000000000000/"
    found = await world.look(RELAY_QUEUE_URL=f"{url}absent", RELAY_DLQ_URL=f"{url}absent-too")
    assert found["queue.exists"].state == found["dlq.exists"].state == "fail"
    assert "does not exist" in found["queue.exists"].found


async def test_a_queue_that_may_not_be_looked_at_names_the_statement(world: World) -> None:
    world.sqs.faults.add(SqsFault(action="GetQueueAttributes", error="AccessDenied", times=None))
    found = await world.look()
    assert found["queue.exists"].state == "fail"
    assert found["queue.exists"].statement is not None
    assert "sqs:GetQueueAttributes" in found["queue.exists"].statement.actions


async def test_a_queue_without_a_dead_letter_queue_fails(world: World) -> None:
    world.set("relay", RedrivePolicy="")
    found = await world.look()
    assert found["dlq.exists"].state == "fail"
    assert "no redrive policy" in found["dlq.exists"].found


async def test_push_mode_without_a_queue_is_not_checked(world: World) -> None:
    del world.settings["RELAY_QUEUE_URL"]
    assert (await world.look())["queue.exists"].state == "not checked"


async def test_the_daemons_own_queue_is_looked_at_where_none_is_named(world: World) -> None:
    url = world.settings.pop("RELAY_QUEUE_URL")
    (world.root / "opt/elasticbeanstalk").mkdir(parents=True)
    world.write("etc/aws-sqsd.d/default.yaml", f"queue_url: {url}\n")
    assert (await world.look())["queue.exists"].found == url


@pytest.mark.parametrize(
    ("action", "permission"),
    [
        ("DeleteMessageBatch", "sqs:DeleteMessage"),
        ("ChangeMessageVisibilityBatch", "sqs:ChangeMessageVisibility"),
    ],
)
async def test_a_missing_permission_on_the_queue_is_found(
    world: World, action: str, permission: str
) -> None:
    world.sqs.faults.add(SqsFault(action=action, error="AccessDenied"))
    finding = (await world.look())[f"permission.{permission}"]
    assert finding.state == "fail"
    assert finding.statement is not None
    assert finding.statement.document() == {
        "Effect": "Allow",
        "Action": [permission],
        "Resource": f"{ARN}relay",
    }


async def test_what_only_its_use_would_prove_is_not_checked_and_told_as_a_statement(
    world: World,
) -> None:
    found = await world.look()
    assert "permission.cloudwatch:PutMetricData" not in await world.look(RELAY_METRICS="none")
    for permission, resource in (
        ("sqs:ReceiveMessage", f"{ARN}relay"),
        ("sqs:SendMessage", f"{ARN}relay-dead"),
        ("cloudwatch:PutMetricData", "*"),
    ):
        finding = found[f"permission.{permission}"]
        assert finding.state == "not checked"
        assert finding.statement is not None
        assert finding.statement.document()["Resource"] == resource


async def test_every_check_is_in_the_documentation(world: World, aws: Aws) -> None:
    key = aws("kms").create_key()["KeyMetadata"]["KeyId"]
    for queue in ("relay", "relay-dead"):
        world.set(queue, KmsMasterKeyId=key)
    secret = aws("secretsmanager").create_secret(Name="all", SecretString=EVENT_KEY)["ARN"]
    aws("s3").create_bucket(Bucket="documented")
    del world.settings["RELAY_INNGEST_EVENT_KEY"]
    found = await world.look(
        RELAY_LEDGER_TABLE=table(aws, "ledger-documented"),
        RELAY_PAYLOAD_BUCKETS="documented",
        RELAY_INNGEST_EVENT_KEY_SECRET=secret,
    )
    text = (Path(__file__).parents[3] / "docs/doctor.md").read_text()
    named = set(re.findall(r"^\| `([a-z.*-]+)` \|", text, re.MULTILINE))
    assert {check for check in found if not any(fnmatch(check, name) for name in named)} == set()
