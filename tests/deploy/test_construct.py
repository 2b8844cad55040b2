"""The construct in somebody else's stack uses what exists, and creates the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from relay_cdk.existing import Existing
from relay_cdk.options import BadOption, Options
from relay_cdk.relay import Relay
from tests.deploy.template import Template, listed

VARIABLES = "aws:elasticbeanstalk:application:environment"
HERE = "eu-west-1:123456789012"


@pytest.fixture
def stack() -> cdk.Stack:
    return cdk.Stack(cdk.App(), "somebody")


def queue(stack: cdk.Stack, name: str) -> sqs.IQueue:
    return sqs.Queue.from_queue_arn(stack, name, f"arn:aws:sqs:{HERE}:{name}")


def test_it_creates_nothing_of_what_exists(hosted: Template) -> None:
    created = {resource["Type"] for resource in hosted.resources.values()}
    assert "AWS::DynamoDB::Table" in created
    assert created.isdisjoint(
        {
            "AWS::SQS::Queue",
            "AWS::SQS::QueuePolicy",
            "AWS::KMS::Key",
            "AWS::Logs::LogGroup",
            "AWS::SecretsManager::Secret",
            "AWS::SNS::Topic",
        }
    )


def test_the_worker_uses_the_existing_queue_network_and_log_group(hosted: Template) -> None:
    options = hosted.options()
    assert "jobs" in str(options["aws:elasticbeanstalk:sqsd", "WorkerQueueURL"])
    assert options["aws:elasticbeanstalk:customoption", "RelayQueueName"] == "jobs"
    assert options["aws:ec2:vpc", "VPCId"] == "vpc-9"
    assert options["aws:ec2:vpc", "Subnets"] == "subnet-8,subnet-9"
    assert options[VARIABLES, "AUDIT_LOG_GROUP"] == "/shop/audit"
    assert options[VARIABLES, "RELAY_INNGEST_EVENT_KEY_SECRET"].endswith("shop/key-a1b2c3")


def test_the_policies_name_the_existing_resources(hosted: Template) -> None:
    def resource(sid: str) -> str:
        return str(listed(hosted.statement(sid)["Resource"]))

    assert f"arn:aws:sqs:{HERE}:jobs'" in resource("MainQueue")
    assert f"arn:aws:sqs:{HERE}:jobs-dead'" in resource("DeadLetters")
    assert f"arn:aws:kms:{HERE}:key/1" in resource("QueueKey")
    assert "shop/key-a1b2c3" in resource("OrchestratorKeys")
    assert "log-group:/shop/audit:*" in resource("AuditLog")


def test_the_alarms_watch_the_existing_queue_and_notify_the_existing_topic(
    hosted: Template,
) -> None:
    queues = {m["dimensions"].get("QueueName") for m in hosted.metrics()} - {None}
    assert queues == {"jobs", "jobs-dead"}
    causes = [a for a in hosted.of_type("AWS::CloudWatch::Alarm") if "AlarmActions" in a]
    assert {a["AlarmActions"][0] for a in causes} == {f"arn:aws:sns:{HERE}:pager"}


def test_an_existing_queue_needs_its_dead_letter_queue(stack: cdk.Stack) -> None:
    with pytest.raises(BadOption, match="needs its dead_letter_queue"):
        Existing(queue=queue(stack, "alone"))


def test_queues_of_two_types_are_refused(stack: cdk.Stack) -> None:
    with pytest.raises(BadOption, match="one type"):
        Existing(queue=queue(stack, "a.fifo"), dead_letter_queue=queue(stack, "b"))


def test_a_queue_is_not_its_own_dead_letter_queue(stack: cdk.Stack) -> None:
    same = queue(stack, "same")
    with pytest.raises(BadOption, match="two queues"):
        Existing(queue=same, dead_letter_queue=same)


def test_an_existing_fifo_queue_is_for_relay_poll_only(stack: cdk.Stack) -> None:
    existing = Existing(queue=queue(stack, "a.fifo"), dead_letter_queue=queue(stack, "b.fifo"))
    with pytest.raises(BadOption, match="keeps no order"):
        Relay(stack, "Pushed", Options(), existing=existing)
    relay = Relay(stack, "Pulled", Options(worker="none"), existing=existing)
    assert relay.queues.name == "a.fifo"


def test_producers_of_an_existing_queue_are_refused_not_ignored(stack: cdk.Stack) -> None:
    existing = Existing(queue=queue(stack, "main"), dead_letter_queue=queue(stack, "dead"))
    options = Options(worker="none", producers=("events.amazonaws.com",))
    with pytest.raises(BadOption, match="policy is up to its owner"):
        Relay(stack, "Relay", options, existing=existing)


OF_THE_QUEUE = {
    "RELAY_QUEUE_RETENTION": "345600",
    "RELAY_DLQ_RETENTION": "864000",
    "RELAY_MAX_RECEIVE_COUNT": "900",
}


def test_the_clocks_of_an_existing_queue_are_settings(stack: cdk.Stack) -> None:
    # In push mode the relay knows the retention only from its setting: with a wrong one SQS deletes
    # messages before the relay dead-letters them.
    options = Options(name="jobs", settings=OF_THE_QUEUE)
    existing = Existing(queue=queue(stack, "main"), dead_letter_queue=queue(stack, "dead"))
    relay = Relay(stack, "Relay", options, existing=existing)
    assert OF_THE_QUEUE.items() <= relay.variables().items()
    with pytest.raises(BadOption, match="RELAY_QUEUE_RETENTION out"):
        Relay(stack, "Own", options)


def test_the_clocks_of_the_worker_daemon_stay_those_of_the_stack(stack: cdk.Stack) -> None:
    options = Options(settings={"RELAY_SQSD_RETENTION": "345600"})
    existing = Existing(queue=queue(stack, "main"), dead_letter_queue=queue(stack, "dead"))
    with pytest.raises(BadOption, match="RELAY_SQSD_RETENTION out"):
        Relay(stack, "Relay", options, existing=existing)


def test_the_documented_example_is_one(stack: cdk.Stack) -> None:
    text = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
    example = text.split("brings the construct:")[1].split("```python")[1].split("```")[0]
    names: dict[str, Any] = {
        "self": stack,
        "vpc": ec2.Vpc.from_vpc_attributes(
            stack,
            "Vpc",
            vpc_id="vpc-9",
            availability_zones=["eu-west-1a"],
            private_subnet_ids=["subnet-8"],
        ),
        "pager": sns.Topic.from_topic_arn(stack, "Pager", f"arn:aws:sns:{HERE}:pager"),
        "queue": queue(stack, "jobs"),
        "dead_letters": queue(stack, "jobs-dead"),
        "shop_function": iam.Role.from_role_arn(
            stack, "Shop", "arn:aws:iam::123456789012:role/shop"
        ),
    }
    exec(compile(example, "deploy.md", "exec"), names)
    assert isinstance(names["relay"], Relay)
    assert names["relay"].options.max_instances == 6
