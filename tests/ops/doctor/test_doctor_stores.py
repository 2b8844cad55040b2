"""The checks of KMS keys, the ledger and payload buckets, each with an AWS in which it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ops.doctor.conftest import Deployment, table

Aws = Callable[[str], Any]
Refuse = Callable[..., None]


async def test_a_working_key_passes(deployment: Deployment, aws: Aws) -> None:
    key = aws("kms").create_key()["KeyMetadata"]["KeyId"]
    for queue in ("relay", "relay-dead"):
        deployment.set(queue, KmsMasterKeyId=key)
    found = await deployment.check()
    assert found["queue.encryption"].status == found["queue.encryption.use"].status == "ok"


@pytest.mark.parametrize(
    ("action", "key_state"),
    [("disable_key", "Disabled"), ("schedule_key_deletion", "PendingDeletion")],
)
async def test_a_disabled_key_is_a_failure(
    deployment: Deployment, aws: Aws, action: str, key_state: str
) -> None:
    kms = aws("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    getattr(kms, action)(KeyId=key)
    deployment.set("relay-dead", KmsMasterKeyId=key)
    result = (await deployment.check())["dlq.encryption"]
    assert result.status == "fail"
    assert key_state in result.found


async def test_a_key_that_does_not_exist_is_a_failure(deployment: Deployment) -> None:
    deployment.set("relay", KmsMasterKeyId="11111111-2222-3333-4444-555555555555")
    assert (await deployment.check())["queue.encryption"].status == "fail"


async def test_an_aws_managed_key_is_a_warning_about_other_services(
    deployment: Deployment, refusing: Refuse
) -> None:
    arn = "arn:aws:kms:us-east-1:123456789012:key/aws-managed"
    described = {"Arn": arn, "KeyState": "Enabled", "KeyManager": "AWS"}
    refusing("KMS", DescribeKey={"KeyMetadata": described})
    deployment.set("relay", KmsMasterKeyId="alias/aws/sqs")
    deployment.set("relay-dead", KmsMasterKeyId=arn)
    found = await deployment.check()
    for check in ("queue.encryption", "dlq.encryption"):
        assert found[check].status == "warn"
        assert "SNS" in found[check].why


async def test_a_key_that_the_role_may_not_use_is_not_checked_with_the_statement(
    deployment: Deployment, aws: Aws, refusing: Refuse
) -> None:
    key = aws("kms").create_key()["KeyMetadata"]["Arn"]
    deployment.set("relay", KmsMasterKeyId=key)
    refusing("KMS")
    found = await deployment.check()
    assert found["queue.encryption"].status == "not checked"
    assert found["queue.encryption.use"].status == "not checked"
    assert found["queue.encryption.use"].statement is not None
    assert found["queue.encryption.use"].statement.resource == key


async def test_a_correct_ledger_passes_and_nothing_is_written_to_it(
    deployment: Deployment, aws: Aws
) -> None:
    name = table(aws, "ledger-good")
    found = await deployment.check(RELAY_LEDGER_TABLE=name)
    checks = [f for f in found.values() if f.check.startswith(("ledger", "permission.dynamodb"))]
    assert {f.status for f in checks} == {"ok"}
    assert len(checks) == 5
    assert aws("dynamodb").scan(TableName=name)["Count"] == 0


@pytest.mark.parametrize(
    ("check", "status", "schema"),
    [
        ("ledger.key", "fail", {"key": "id"}),
        ("ledger.expiry", "warn", {"expires": None}),
        ("ledger.expiry", "warn", {"expires": "until"}),
    ],
)
async def test_a_ledger_with_a_wrong_schema_is_reported(
    deployment: Deployment, aws: Aws, check: str, status: str, schema: dict[str, Any]
) -> None:
    name = table(aws, f"ledger-{status}-{len(str(schema))}", **schema)
    assert (await deployment.check(RELAY_LEDGER_TABLE=name))[check].status == status


async def test_a_ledger_that_does_not_exist_is_a_failure(deployment: Deployment) -> None:
    assert (await deployment.check(RELAY_LEDGER_TABLE="absent"))["ledger.table"].status == "fail"


@pytest.mark.parametrize(
    ("action", "check", "status"),
    [
        ("DescribeTable", "ledger.table", "not checked"),
        ("BatchGetItem", "permission.dynamodb:BatchGetItem", "fail"),
        ("BatchWriteItem", "permission.dynamodb:BatchWriteItem", "fail"),
    ],
)
async def test_a_missing_permission_on_the_ledger_is_reported(
    deployment: Deployment, aws: Aws, refusing: Refuse, action: str, check: str, status: str
) -> None:
    name = table(aws, f"ledger-{action}")
    refusing("DYNAMODB", **{action: None})
    result = (await deployment.check(RELAY_LEDGER_TABLE=name))[check]
    assert result.status == status
    assert result.statement is not None


async def test_a_missing_payload_bucket_is_a_failure(deployment: Deployment, aws: Aws) -> None:
    aws("s3").create_bucket(Bucket="here")
    found = await deployment.check(RELAY_PAYLOAD_BUCKETS="here,nowhere")
    assert found["payloads.here"].status == "ok"
    assert found["payloads.nowhere"].status == "fail"


async def test_the_bucket_for_dead_letters_is_read_and_its_permission_to_write_is_named(
    deployment: Deployment, aws: Aws
) -> None:
    aws("s3").create_bucket(Bucket="bodies")
    found = await deployment.check(RELAY_DEAD_LETTER_BUCKET="bodies")
    assert found["payloads.bodies"].status == "ok"
    statement = found["permission.s3:PutObject"].statement
    assert statement is not None
    assert statement.resource == "arn:aws:s3:::bodies/relay-dead-letters/*"


async def test_of_the_bucket_for_dead_letters_only_the_relays_part_must_be_readable(
    deployment: Deployment, refusing: Refuse
) -> None:
    refusing("S3")
    found = (await deployment.check(RELAY_DEAD_LETTER_BUCKET="bodies"))["payloads.bodies"]
    assert found.statement is not None
    assert found.statement.resource == "arn:aws:s3:::bodies/relay-dead-letters/*"


async def test_a_missing_bucket_is_to_be_corrected_in_the_setting_that_names_it(
    deployment: Deployment,
) -> None:
    found = (await deployment.check(RELAY_DEAD_LETTER_BUCKET="nowhere"))["payloads.nowhere"]
    assert found.status == "fail"
    assert "RELAY_DEAD_LETTER_BUCKET" in found.fix


async def test_a_queue_that_is_its_own_dead_letter_queue_is_a_failure(
    deployment: Deployment,
) -> None:
    found = await deployment.check(
        RELAY_QUEUE_URL="main", RELAY_DLQ_URL="arn:aws:sqs:eu-west-1:123456789012:main"
    )
    assert found["settings"].status == "fail"
    assert "RELAY_DLQ_URL" in found["settings"].found
