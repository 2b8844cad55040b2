"""The checks of settings, credentials and queues, each in a deployment in which it fails."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from relay.delivery.pause import TAG, Pause, tag_value
from relay.local.sqs import Fault as SqsFault
from tests.ops.doctor.conftest import ARN, EVENT_KEY, Deployment, table

Aws = Callable[[str], Any]
Refuse = Callable[..., None]


async def test_a_healthy_deployment_passes_every_check(deployment: Deployment) -> None:
    found = await deployment.check()
    assert {f.check for f in found.values() if f.status not in ("ok", "not checked")} == set()
    assert sum(f.status == "ok" for f in found.values()) >= 25


async def test_the_checks_change_nothing(deployment: Deployment) -> None:
    before = deployment.sqs.requests.copy()
    await deployment.check()
    called = set(deployment.sqs.requests - before)
    assert called == {
        "GetQueueUrl",
        "GetQueueAttributes",
        "DeleteMessageBatch",
        "ChangeMessageVisibilityBatch",
        "ListQueueTags",
    }
    assert not deployment.inngest.events


async def test_a_paused_queue_is_a_warning_that_says_who_paused_it(deployment: Deployment) -> None:
    deployment.sqs.queues["relay"].tags[TAG] = tag_value(Pause(by="ana@laptop", reason="moving"))
    found = (await deployment.check())["queue.paused"]
    assert (found.status, "ana@laptop: moving" in found.found) == ("warn", True)
    assert "relay resume" in found.fix


async def test_a_relay_that_may_not_read_tags_is_told_that_a_pause_passes_it_by(
    deployment: Deployment,
) -> None:
    deployment.sqs.faults.add(SqsFault(action="ListQueueTags", error="AccessDenied", status=403))
    found = (await deployment.check())["permission.sqs:ListQueueTags"]
    assert found.status == "warn"
    assert found.statement is not None
    assert found.statement.actions == ("sqs:ListQueueTags",)


async def test_a_queue_that_only_sqsd_knows_cannot_be_paused(deployment: Deployment) -> None:
    url = deployment.settings.pop("RELAY_QUEUE_URL")
    (deployment.root / "opt/elasticbeanstalk").mkdir(parents=True)
    deployment.write("etc/aws-sqsd.d/default.yaml", f"queue_url: {url}\n")
    found = (await deployment.check())["queue.paused"]
    assert (found.status, "RELAY_QUEUE_URL" in found.found) == ("warn", True)


async def test_an_invalid_setting_is_a_failure(deployment: Deployment) -> None:
    found = await deployment.check(RELAY_HOLD="long", RELAY_HODL="1")
    assert found["settings"].status == "fail"
    assert "RELAY_HOLD" in found["settings"].found


async def test_an_unknown_setting_is_a_warning(deployment: Deployment) -> None:
    assert (await deployment.check(RELAY_HODL="1"))["settings"].status == "warn"


async def test_inngest_cloud_without_a_key_is_a_failure_without_a_request(
    deployment: Deployment,
) -> None:
    del deployment.settings["RELAY_INNGEST_URL"], deployment.settings["RELAY_INNGEST_EVENT_KEY"]
    found = await deployment.check()
    assert found["settings"].status == "fail"
    assert found["orchestrator.event-key"].status == "not checked"


async def test_a_missing_region_and_missing_credentials_are_failures(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    found = await deployment.check()
    assert found["aws.region"].status == found["aws.credentials"].status == "fail"
    assert found["queue.exists"].status == "fail"
    assert found["clock"].status == "not checked"


async def test_an_emulator_that_is_no_sts_says_nothing_about_the_credentials(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", deployment.sqs.url)
    found = (await deployment.check())["aws.credentials"]
    assert found.status == "not checked"
    assert deployment.sqs.url in found.found


async def test_credentials_are_not_checked_where_sts_is_unreachable(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    found = await deployment.check()
    assert found["aws.credentials"].status == "not checked"
    assert found["queue.exists"].status == "ok"


async def test_a_profile_that_does_not_exist_is_a_failure(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "absent")
    found = await deployment.check()
    assert found["aws.session"].status == "fail"
    assert found["orchestrator.event-key"].status == "ok"


@pytest.mark.parametrize(("skew", "status"), [(400.0, "fail"), (-400.0, "fail"), (60.0, "warn")])
async def test_a_skewed_clock_is_reported(deployment: Deployment, skew: float, status: str) -> None:
    found = await deployment.check(clock=lambda: time.time() + skew)
    assert found["clock"].status == status
    assert ("ahead" in found["clock"].found) is (skew > 0)


async def test_queues_that_do_not_exist_are_failures(deployment: Deployment) -> None:
    url = f"{deployment.sqs.url}/000000000000/"
    found = await deployment.check(RELAY_QUEUE_URL=f"{url}absent", RELAY_DLQ_URL=f"{url}absent-too")
    assert found["queue.exists"].status == found["dlq.exists"].status == "fail"
    assert "does not exist" in found["queue.exists"].found


async def test_denied_queue_attributes_name_the_statement(deployment: Deployment) -> None:
    deployment.sqs.faults.add(
        SqsFault(action="GetQueueAttributes", error="AccessDenied", times=None)
    )
    found = await deployment.check()
    assert found["queue.exists"].status == "fail"
    assert found["queue.exists"].statement is not None
    assert "sqs:GetQueueAttributes" in found["queue.exists"].statement.actions


async def test_a_queue_without_a_dead_letter_queue_is_a_failure(deployment: Deployment) -> None:
    deployment.set("relay", RedrivePolicy="")
    found = await deployment.check()
    assert found["dlq.exists"].status == "fail"
    assert "no redrive policy" in found["dlq.exists"].found


async def test_push_mode_without_a_queue_is_not_checked(deployment: Deployment) -> None:
    del deployment.settings["RELAY_QUEUE_URL"]
    assert (await deployment.check())["queue.exists"].status == "not checked"


async def test_without_a_queue_setting_the_queue_of_sqsd_is_checked(deployment: Deployment) -> None:
    url = deployment.settings.pop("RELAY_QUEUE_URL")
    (deployment.root / "opt/elasticbeanstalk").mkdir(parents=True)
    deployment.write("etc/aws-sqsd.d/default.yaml", f"queue_url: {url}\n")
    assert (await deployment.check())["queue.exists"].found == url


@pytest.mark.parametrize(
    ("action", "permission"),
    [
        ("DeleteMessageBatch", "sqs:DeleteMessage"),
        ("ChangeMessageVisibilityBatch", "sqs:ChangeMessageVisibility"),
    ],
)
async def test_a_missing_permission_on_the_queue_is_a_failure(
    deployment: Deployment, action: str, permission: str
) -> None:
    deployment.sqs.faults.add(SqsFault(action=action, error="AccessDenied"))
    result = (await deployment.check())[f"permission.{permission}"]
    assert result.status == "fail"
    assert result.statement is not None
    assert result.statement.document() == {
        "Effect": "Allow",
        "Action": [permission],
        "Resource": f"{ARN}relay",
    }


async def test_permissions_that_cannot_be_tested_are_reported_with_their_statement(
    deployment: Deployment,
) -> None:
    found = await deployment.check()
    assert "permission.cloudwatch:PutMetricData" not in await deployment.check(RELAY_METRICS="none")
    for permission, resource in (
        ("sqs:ReceiveMessage", f"{ARN}relay"),
        ("sqs:SendMessage", f"{ARN}relay-dead"),
        ("cloudwatch:PutMetricData", "*"),
    ):
        result = found[f"permission.{permission}"]
        assert result.status == "not checked"
        assert result.statement is not None
        assert result.statement.document()["Resource"] == resource


async def test_every_check_is_in_the_documentation(deployment: Deployment, aws: Aws) -> None:
    key = aws("kms").create_key()["KeyMetadata"]["KeyId"]
    for queue in ("relay", "relay-dead"):
        deployment.set(queue, KmsMasterKeyId=key)
    secret = aws("secretsmanager").create_secret(Name="all", SecretString=EVENT_KEY)["ARN"]
    aws("s3").create_bucket(Bucket="documented")
    del deployment.settings["RELAY_INNGEST_EVENT_KEY"]
    found = await deployment.check(
        RELAY_LEDGER_TABLE=table(aws, "ledger-documented"),
        RELAY_PAYLOAD_BUCKETS="documented",
        RELAY_INNGEST_EVENT_KEY_SECRET=secret,
    )
    text = (Path(__file__).parents[3] / "docs/doctor.md").read_text()
    named = set(re.findall(r"^\| `([a-z.*-]+)` \|", text, re.MULTILINE))
    assert {check for check in found if not any(fnmatch(check, name) for name in named)} == set()
