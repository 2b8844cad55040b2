"""The checks that ask somebody, each with an answer that makes it fail."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from relay.local.inngest import Fault, Rule
from relay.local.sqs import Fault as SqsFault
from tests.doctor.conftest import ARN, EVENT_KEY, SIGNING_KEY, World

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


async def test_a_key_that_works_is_all_right(world: World, aws: Aws) -> None:
    key = aws("kms").create_key()["KeyMetadata"]["KeyId"]
    for queue in ("relay", "relay-dead"):
        world.set(queue, KmsMasterKeyId=key)
    found = await world.look()
    assert found["queue.encryption"].state == found["queue.encryption.use"].state == "ok"


@pytest.mark.parametrize(
    ("breaking", "told"),
    [("disable_key", "Disabled"), ("schedule_key_deletion", "PendingDeletion")],
)
async def test_a_key_that_is_off_is_found(world: World, aws: Aws, breaking: str, told: str) -> None:
    kms = aws("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    getattr(kms, breaking)(KeyId=key)
    world.set("relay-dead", KmsMasterKeyId=key)
    finding = (await world.look())["dlq.encryption"]
    assert finding.state == "fail"
    assert told in finding.found


async def test_a_key_that_does_not_exist_is_found(world: World) -> None:
    world.set("relay", KmsMasterKeyId="11111111-2222-3333-4444-555555555555")
    assert (await world.look())["queue.encryption"].state == "fail"


async def test_awss_own_key_shuts_other_services_out(world: World, refusing: Refuse) -> None:
    arn = "arn:aws:kms:us-east-1:123456789012:key/of-aws"
    described = {"Arn": arn, "KeyState": "Enabled", "KeyManager": "AWS"}
    refusing("KMS", DescribeKey={"KeyMetadata": described})
    world.set("relay", KmsMasterKeyId="alias/aws/sqs")
    world.set("relay-dead", KmsMasterKeyId=arn)
    found = await world.look()
    for check in ("queue.encryption", "dlq.encryption"):
        assert found[check].state == "warn"
        assert "SNS" in found[check].why


async def test_a_key_that_may_not_be_used_is_a_warning_with_the_statement(
    world: World, aws: Aws, refusing: Refuse
) -> None:
    key = aws("kms").create_key()["KeyMetadata"]["Arn"]
    world.set("relay", KmsMasterKeyId=key)
    refusing("KMS")
    found = await world.look()
    assert found["queue.encryption"].state == "not checked"
    assert found["queue.encryption.use"].state == "warn"
    assert found["queue.encryption.use"].statement is not None
    assert found["queue.encryption.use"].statement.resource == key


def table(aws: Aws, name: str, *, key: str = "key", expires: str | None = "expires") -> str:
    dynamodb = aws("dynamodb")
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
    )
    if expires:
        dynamodb.update_time_to_live(
            TableName=name,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": expires},
        )
    return name


async def test_a_good_ledger_is_all_right_and_nothing_is_written_to_it(
    world: World, aws: Aws
) -> None:
    name = table(aws, "ledger-good")
    found = await world.look(RELAY_LEDGER_TABLE=name)
    checks = [f for f in found.values() if f.check.startswith(("ledger", "permission.dynamodb"))]
    assert {f.state for f in checks} == {"ok"}
    assert len(checks) == 5
    assert aws("dynamodb").scan(TableName=name)["Count"] == 0


@pytest.mark.parametrize(
    ("check", "state", "shape"),
    [
        ("ledger.key", "fail", {"key": "id"}),
        ("ledger.expiry", "warn", {"expires": None}),
        ("ledger.expiry", "warn", {"expires": "until"}),
    ],
)
async def test_a_ledger_of_the_wrong_shape_is_found(
    world: World, aws: Aws, check: str, state: str, shape: dict[str, Any]
) -> None:
    name = table(aws, f"ledger-{state}-{len(str(shape))}", **shape)
    assert (await world.look(RELAY_LEDGER_TABLE=name))[check].state == state


async def test_a_ledger_that_does_not_exist_is_found(world: World) -> None:
    assert (await world.look(RELAY_LEDGER_TABLE="absent"))["ledger.table"].state == "fail"


@pytest.mark.parametrize(
    ("action", "check", "state"),
    [
        ("DescribeTable", "ledger.table", "not checked"),
        ("BatchGetItem", "permission.dynamodb:BatchGetItem", "fail"),
        ("BatchWriteItem", "permission.dynamodb:BatchWriteItem", "fail"),
    ],
)
async def test_a_missing_permission_on_the_ledger_is_found(
    world: World, aws: Aws, refusing: Refuse, action: str, check: str, state: str
) -> None:
    name = table(aws, f"ledger-{action}")
    refusing("DYNAMODB", **{action: None})
    finding = (await world.look(RELAY_LEDGER_TABLE=name))[check]
    assert finding.state == state
    assert finding.statement is not None


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


async def test_buckets_of_payloads_are_asked_for_what_is_not_there(world: World, aws: Aws) -> None:
    aws("s3").create_bucket(Bucket="here")
    found = await world.look(RELAY_PAYLOAD_BUCKETS="here,nowhere")
    assert found["payloads.here"].state == "ok"
    assert found["payloads.nowhere"].state == "fail"


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
    text = (Path(__file__).parents[2] / "docs/doctor.md").read_text()
    named = set(re.findall(r"^\| `([a-z.*-]+)` \|", text, re.MULTILINE))
    assert {check for check in found if not any(fnmatch(check, name) for name in named)} == set()
