"""The checks of keys, the ledger and buckets, each with an AWS in which it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ops.doctor.conftest import World, table

Aws = Callable[[str], Any]
Refuse = Callable[..., None]


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


async def test_buckets_of_payloads_are_asked_for_what_is_not_there(world: World, aws: Aws) -> None:
    aws("s3").create_bucket(Bucket="here")
    found = await world.look(RELAY_PAYLOAD_BUCKETS="here,nowhere")
    assert found["payloads.here"].state == "ok"
    assert found["payloads.nowhere"].state == "fail"
