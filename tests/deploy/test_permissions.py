"""Every role and policy allows what is needed and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deploy.template import Template, listed

METRICS_SIDS = {"Metrics", "PlatformMetrics", "ReadMetrics"}
"""Statements on metrics, which CloudWatch cannot restrict by resource."""


def actions(template: Template, *kinds: str) -> set[str]:
    return {a for s in template.statements(*kinds) for a in listed(s["Action"])}


def test_no_statement_has_a_wildcard_action(customized: Template) -> None:
    assert not [a for a in actions(customized) if "*" in a]


def test_every_statement_except_on_metrics_names_its_resources(customized: Template) -> None:
    for statement in customized.statements():
        anything = "*" in listed(statement["Resource"])
        assert anything == (statement["Sid"] in METRICS_SIDS), statement


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
    for sid in ("Ledger", "ReadLedger"):
        actions = set(default.statement(sid)["Action"])
        assert actions.isdisjoint({"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"})


@pytest.mark.parametrize(
    ("sid", "needed"),
    [
        ("MainQueue", {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"}),
        ("MainQueue", {"sqs:GetQueueAttributes", "sqs:GetQueueUrl"}),
        ("Ledger", {"dynamodb:BatchWriteItem", "dynamodb:BatchGetItem", "dynamodb:DescribeTable"}),
        ("OrchestratorKeys", {"secretsmanager:GetSecretValue"}),
        ("Key", {"kms:Decrypt", "kms:GenerateDataKey"}),
        ("AuditLog", {"logs:CreateLogStream", "logs:PutLogEvents"}),
        ("Health", {"elasticbeanstalk:PutInstanceStatistics"}),
        ("PeriodicTasks", {"sqs:SendMessage"}),
        ("PlatformBucket", {"s3:PutObject", "s3:GetObject"}),
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
