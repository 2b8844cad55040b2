"""The queues, the ledger, the secrets and the key that the stack creates."""

from __future__ import annotations

import json

import pytest

from relay.ops.doctor.queues import MAX_POLL_VISIBILITY, MIN_POLL_VISIBILITY
from relay.settings import clocks
from relay_cdk.hosts import POLL_VISIBILITY
from tests.deploy.template import Template, listed

RETAINED = {
    "AWS::SQS::Queue",
    "AWS::DynamoDB::Table",
    "AWS::SecretsManager::Secret",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::ElasticBeanstalk::Application",
    "AWS::ElasticBeanstalk::ApplicationVersion",
}


@pytest.fixture(params=["default", "customized", "pull", "fifo"])
def template(request: pytest.FixtureRequest) -> Template:
    found: Template = request.getfixturevalue(request.param)
    return found


def test_both_queues_have_the_retention_and_visibility_of_the_table(template: Template) -> None:
    suffix = ".fifo" if '.fifo"' in template.text else ""
    main, dead = template.queue(f"-events{suffix}"), template.queue(f"-events-dlq{suffix}")
    assert main["MessageRetentionPeriod"] == clocks.QUEUE_RETENTION
    assert dead["MessageRetentionPeriod"] == clocks.DLQ_RETENTION
    daemon = "AWS::ElasticBeanstalk::Environment" in {
        resource["Type"] for resource in template.resources.values()
    }
    assert main["VisibilityTimeout"] == (clocks.VISIBILITY_TIMEOUT if daemon else POLL_VISIBILITY)
    assert MIN_POLL_VISIBILITY <= POLL_VISIBILITY <= MAX_POLL_VISIBILITY
    assert main["RedrivePolicy"]["maxReceiveCount"] == clocks.MAX_RECEIVE_COUNT
    assert main["MaximumMessageSize"] == dead["MaximumMessageSize"] == 1_048_576


def test_the_dead_letter_queue_accepts_only_the_main_queue_as_source(template: Template) -> None:
    suffix = ".fifo" if '.fifo"' in template.text else ""
    policy = template.queue(f"-dlq{suffix}")["RedriveAllowPolicy"]
    assert policy["redrivePermission"] == "byQueue"
    (source,) = policy["sourceQueueArns"]
    assert json.dumps(source).endswith(f'-events{suffix}"]]}}')


def test_queues_and_topic_refuse_requests_without_tls(template: Template) -> None:
    kinds = ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy")
    denials = [s for s in template.statements(*kinds) if s["Effect"] == "Deny"]
    assert len(denials) == 3
    for denial in denials:
        assert denial["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert denial["Principal"] in ("*", {"AWS": "*"})


def test_resources_with_data_outlive_the_stack_but_not_a_failed_creation(
    template: Template,
) -> None:
    resources = template.resources.values()
    policies = {"Retain", "RetainExceptOnCreate"}
    kept = [r for r in resources if r.get("DeletionPolicy") in policies]
    assert {r["Type"] for r in kept} == RETAINED & {r["Type"] for r in resources}
    for resource in kept:
        # With `Retain`, a creation that failed would leave names that the next one cannot take.
        assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
        assert resource["UpdateReplacePolicy"] == "Retain"


def test_the_ledger_is_billed_by_use_has_a_ttl_and_can_be_restored(
    template: Template,
) -> None:
    table = template.one("AWS::DynamoDB::Table")
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["KeySchema"] == [{"AttributeName": "key", "KeyType": "HASH"}]
    assert table["AttributeDefinitions"] == [{"AttributeName": "key", "AttributeType": "S"}]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_a_secret_starts_without_a_value_not_with_a_random_one(
    template: Template,
) -> None:
    for secret in template.of_type("AWS::SecretsManager::Secret"):
        assert "GenerateSecretString" not in secret
        assert "SecretString" not in secret


def test_only_a_self_hosted_server_has_a_signing_key(
    default: Template, customized: Template
) -> None:
    assert len(default.of_type("AWS::SecretsManager::Secret")) == 1
    assert len(customized.of_type("AWS::SecretsManager::Secret")) == 2


def test_queues_are_encrypted_by_sqs_or_by_the_customer_key(
    default: Template, customized: Template
) -> None:
    assert all(q["SqsManagedSseEnabled"] for q in default.of_type("AWS::SQS::Queue"))
    assert all("KmsMasterKeyId" in q for q in customized.of_type("AWS::SQS::Queue"))
    assert customized.one("AWS::DynamoDB::Table")["SSESpecification"]["SSEType"] == "KMS"
    assert all("KmsKeyId" in s for s in customized.of_type("AWS::SecretsManager::Secret"))
    assert "KmsMasterKeyId" in customized.one("AWS::SNS::Topic")


def test_producers_elsewhere_may_send_and_they_and_alarms_may_use_the_key(
    customized: Template,
) -> None:
    key = customized.one("AWS::KMS::Key")
    granted = {s.get("Sid"): s for s in key["KeyPolicy"]["Statement"]}
    sending = {s.get("Sid"): s for s in customized.statements("AWS::SQS::QueuePolicy")}
    for sid in (f"Producer{n}" for n in range(5)):
        assert set(granted[sid]["Action"]) == {"kms:GenerateDataKey", "kms:Decrypt"}
        assert sending[sid]["Action"] == "sqs:SendMessage"
        assert sending[sid]["Principal"] == granted[sid]["Principal"]
        assert sending[sid].get("Condition") == granted[sid].get("Condition")
    assert granted["Alarms"]["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert key["EnableKeyRotation"] is True


def test_an_account_a_service_and_a_source_are_three_different_principals(
    customized: Template,
) -> None:
    sending = {s.get("Sid"): s for s in customized.statements("AWS::SQS::QueuePolicy")}
    own = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    other = "eu-west-1:222222222222"

    def allowed(sid: str) -> tuple[str, object]:
        return json.dumps(sending[sid]["Principal"]), sending[sid].get("Condition")

    assert allowed("Producer0") == ('{"Service": "events.amazonaws.com"}', own)
    assert allowed("Producer1") == ('{"AWS": "arn:aws:iam::222222222222:role/shop"}', None)
    account, condition = allowed("Producer2")
    assert ("AWS" in account, ":222222222222:root" in account, condition) == (True, True, None)
    assert allowed("Producer3") == (
        '{"Service": "sns.amazonaws.com"}',
        {"ArnLike": {"aws:SourceArn": f"arn:aws:sns:{other}:orders"}},
    )
    assert allowed("Producer4") == (
        '{"Service": "events.amazonaws.com"}',
        {"ArnLike": {"aws:SourceArn": f"arn:aws:events:{other}:rule/shop/*"}},
    )


def test_fifo_queues_have_high_throughput(fifo: Template) -> None:
    main = fifo.queue("ordered-events.fifo")
    assert main["FifoQueue"] is True
    assert main["DeduplicationScope"] == "messageGroup"
    assert main["FifoThroughputLimit"] == "perMessageGroupId"


def test_alarms_may_publish_although_the_topic_has_a_policy(template: Template) -> None:
    policies = template.statements("AWS::SNS::TopicPolicy")
    (allowed,) = [s for s in policies if s["Effect"] == "Allow"]
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert listed(allowed["Action"]) == ["sns:Publish"]
