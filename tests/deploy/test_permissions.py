"""Every role and policy allows what is needed and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.deploy.template import Template, listed

UNRESTRICTED = {"Metrics", "PlatformMetrics", "ReadMetrics", "SessionManager"}
"""Statements on what AWS cannot restrict by resource."""


def actions(template: Template, *kinds: str) -> set[str]:
    return {a for s in template.statements(*kinds) for a in listed(s["Action"])}


def test_no_statement_has_a_wildcard_action(customized: Template) -> None:
    assert not [a for a in actions(customized) if "*" in a]


def test_every_statement_names_its_resources_where_there_are_any(customized: Template) -> None:
    for statement in customized.statements():
        anything = "*" in listed(statement["Resource"])
        assert anything == (statement["Sid"] in UNRESTRICTED), statement


def test_writing_metrics_is_restricted_to_our_namespace_and_the_platforms(
    default: Template,
) -> None:
    ours = default.statement("Metrics")["Condition"]
    assert ours == {"StringEquals": {"cloudwatch:namespace": "Relay"}}
    platforms = default.statement("PlatformMetrics")["Condition"]
    assert platforms == {
        "StringLike": {"cloudwatch:namespace": ["ElasticBeanstalk*", "AWS/ElasticBeanstalk"]}
    }


def test_the_relay_can_send_dead_letters_but_not_receive_them(default: Template) -> None:
    dead = set(default.statement("DeadLetters")["Action"])
    assert dead == {"sqs:SendMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"}


def test_the_ledger_is_read_and_written_only_in_batches(default: Template) -> None:
    for statement in (s for s in default.statements() if s["Sid"] == "Ledger"):
        actions = set(statement["Action"])
        assert actions.isdisjoint({"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"})


@pytest.mark.parametrize(
    ("sid", "needed"),
    [
        ("MainQueue", {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"}),
        ("MainQueue", {"sqs:GetQueueAttributes", "sqs:GetQueueUrl"}),
        ("Ledger", {"dynamodb:BatchWriteItem", "dynamodb:BatchGetItem", "dynamodb:DescribeTable"}),
        ("OrchestratorKeys", {"secretsmanager:GetSecretValue"}),
        ("QueueKey", {"kms:Decrypt", "kms:GenerateDataKey"}),
        ("StoreKey", {"kms:Decrypt"}),
        ("KeyState", {"kms:DescribeKey"}),
        ("AuditLog", {"logs:CreateLogStream", "logs:PutLogEvents"}),
        ("Health", {"elasticbeanstalk:PutInstanceStatistics"}),
        ("PeriodicTasks", {"sqs:SendMessage"}),
        ("PlatformFiles", {"s3:GetObject"}),
        ("PublishedLogs", {"s3:PutObject"}),
        ("Bundle", {"s3:GetObject"}),
    ],
)
def test_the_role_has_what_the_relay_and_the_worker_tier_need(
    customized: Template, sid: str, needed: set[str]
) -> None:
    assert needed <= set(listed(customized.statement(sid)["Action"]))


def test_a_producer_can_send_and_nothing_else(default: Template, customized: Template) -> None:
    def allowed(template: Template) -> set[Any]:
        policies = template.of_type("AWS::IAM::ManagedPolicy")
        (policy,) = (p for p in policies if "publish" in p["Description"])
        return {a for s in policy["PolicyDocument"]["Statement"] for a in listed(s["Action"])}

    assert allowed(default) == {"sqs:SendMessage", "sqs:GetQueueUrl"}
    assert allowed(customized) - allowed(default) == {"kms:GenerateDataKey", "kms:Decrypt"}


def test_elastic_beanstalk_assumes_its_role_with_its_external_id_only(default: Template) -> None:
    trust = [r["AssumeRolePolicyDocument"] for r in default.of_type("AWS::IAM::Role")]
    (service,) = (t["Statement"][0] for t in trust if "elasticbeanstalk" in str(t))
    assert service["Condition"] == {"StringEquals": {"sts:ExternalId": "elasticbeanstalk"}}


def test_without_an_environment_the_relays_policy_can_be_attached(pull: Template) -> None:
    assert not pull.of_type("AWS::ElasticBeanstalk::Environment")
    assert not pull.of_type("AWS::IAM::Role")
    assert "RelayPolicyArn" in pull.outputs
    assert not {"PeriodicTasks", "PlatformBucket"} & {s["Sid"] for s in pull.statements()}


WITHOUT_SOURCE_ACCOUNT = {
    "ec2.amazonaws.com": "it passes no source when an instance assumes its role",
    "elasticbeanstalk.amazonaws.com": "it sends its external id instead",
}
"""Services that do not support `aws:SourceAccount` where the stack trusts them."""


def test_a_service_may_act_for_this_account_only(customized: Template) -> None:
    documents = [
        *(policy["PolicyDocument"] for policy in customized.of_type("AWS::SQS::QueuePolicy")),
        *(policy["PolicyDocument"] for policy in customized.of_type("AWS::SNS::TopicPolicy")),
        *(key["KeyPolicy"] for key in customized.of_type("AWS::KMS::Key")),
        *(role["AssumeRolePolicyDocument"] for role in customized.of_type("AWS::IAM::Role")),
    ]
    trusting = [
        statement
        for document in documents
        for statement in document["Statement"]
        if statement["Effect"] == "Allow" and "Service" in statement["Principal"]
    ]
    without = {
        statement["Principal"]["Service"]
        for statement in trusting
        if not SOURCES & {key for keys in statement.get("Condition", {}).values() for key in keys}
    }
    assert len(trusting) > len(without)
    assert without == set(WITHOUT_SOURCE_ACCOUNT)


SOURCES = {"aws:SourceAccount", "aws:SourceArn"}


def test_a_shell_on_the_instances_is_an_option(synthesized: Path) -> None:
    shell = Template.of(synthesized / "shell.json")
    allowed = set(shell.statement("SessionManager")["Action"])
    assert "ssmmessages:OpenDataChannel" in allowed
    # A session reads no parameter, as AmazonSSMManagedInstanceCore would let it.
    assert not [a for a in actions(shell) if a.startswith("ssm:Get")]
    others = (Template.of(path) for path in synthesized.glob("*.json") if path.stem != "shell")
    assert not [t for t in others if "ssmmessages" in t.text]


def test_a_managed_update_may_enable_the_scaling_groups_metrics(default: Template) -> None:
    statement = default.statement("ScalingGroupMetrics")
    assert statement["Action"] == "autoscaling:EnableMetricsCollection"
    assert "awseb-e-*" in str(statement["Resource"])
