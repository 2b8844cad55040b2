"""The worker environment that the stack creates."""

from __future__ import annotations

import json

from relay.settings.model import Settings
from relay.settings.reference import variable
from tests.deploy.bundle_files import extensions
from tests.deploy.template import Template

SQSD = "aws:elasticbeanstalk:sqsd"
VARIABLES = "aws:elasticbeanstalk:application:environment"

OPTIONS_OF_SQSD = {
    "WorkerQueueURL",
    "HttpPath",
    "MimeType",
    "HttpConnections",
    "ConnectTimeout",
    "InactivityTimeout",
    "VisibilityTimeout",
    "ErrorVisibilityTimeout",
    "RetentionPeriod",
    "MaxRetries",
}
"""All options of the namespace, according to its documentation."""


def test_it_is_a_worker_on_the_main_queue(default: Template) -> None:
    environment = default.one("AWS::ElasticBeanstalk::Environment")
    assert environment["Tier"] == {"Name": "Worker", "Type": "SQS/HTTP"}
    url = default.options()[SQSD, "WorkerQueueURL"]
    assert default.resources[url["Ref"]]["Properties"]["QueueName"] == "relay-events"


def test_every_option_of_sqsd_is_set(default: Template) -> None:
    assert {name for space, name in default.options() if space == SQSD} == OPTIONS_OF_SQSD


def test_every_option_value_is_text(default: Template, customized: Template) -> None:
    for value in (*default.options().values(), *customized.options().values()):
        assert isinstance(value, str) or set(value) <= {"Ref", "Fn::GetAtt", "Fn::Join"}


def test_a_deployment_keeps_the_capacity_and_updates_are_managed(
    default: Template,
) -> None:
    options = default.options()
    policy = options["aws:elasticbeanstalk:command", "DeploymentPolicy"]
    assert policy == "RollingWithAdditionalBatch"
    assert options["aws:elasticbeanstalk:environment", "EnvironmentType"] == "LoadBalanced"
    assert int(options["aws:autoscaling:asg", "MinSize"]) >= 2
    managed = "aws:elasticbeanstalk:managedactions"
    assert options[managed, "ManagedActionsEnabled"] == "true"
    assert (managed, "ServiceRoleForManagedUpdates") in options
    assert options[f"{managed}:platformupdate", "UpdateLevel"] == "minor"


def test_the_platform_has_no_version_that_could_retire_or_undo_a_managed_update(
    default: Template, customized: Template
) -> None:
    # CloudFormation changes only what differs between two templates, and this never does.
    for template, python in ((default, "3.13"), (customized, "3.14")):
        environment = template.one("AWS::ElasticBeanstalk::Environment")
        assert "SolutionStackName" not in environment
        arn = json.dumps(environment["PlatformArn"])
        name = f"platform/Python {python} running on 64bit Amazon Linux 2023"
        assert arn.endswith(f'::{name}"]]}}')


def test_the_options_of_network_and_instances_are_applied(
    default: Template, customized: Template
) -> None:
    options = customized.options()
    assert options["aws:ec2:vpc", "VPCId"] == "vpc-1"
    assert options["aws:ec2:vpc", "Subnets"] == "subnet-1,subnet-2"
    assert options["aws:ec2:vpc", "AssociatePublicIpAddress"] == "false"
    assert options["aws:ec2:instances", "InstanceTypes"] == "t4g.small"
    assert options["aws:ec2:instances", "SupportedArchitectures"] == "arm64"
    assert not [name for space, name in default.options() if space == "aws:ec2:vpc"]


def test_every_variable_of_ours_is_a_setting_of_the_relay(customized: Template) -> None:
    known = {variable(name) for name in Settings.model_fields}
    given = {name for space, name in customized.options() if space == VARIABLES}
    shared = {name for space, name in extensions() if space == VARIABLES}
    assert {name for name in given | shared if name.startswith("RELAY_")} <= known
    assert {"RELAY_QUEUE_URL", "RELAY_DLQ_URL", "RELAY_LEDGER_TABLE"} <= given
    assert {"RELAY_INNGEST_EVENT_KEY_SECRET", "RELAY_INNGEST_SIGNING_KEY_SECRET"} <= given
    # Elastic Beanstalk does not set the region for its processes.
    assert "AWS_DEFAULT_REGION" in given


def test_the_variables_fit_into_the_limit_of_elastic_beanstalk(customized: Template) -> None:
    longest = {"Ref": "x" * 200, "Fn::GetAtt": "x" * 200}
    size = sum(
        len(name) + len(value if isinstance(value, str) else longest["Ref"]) + 2
        for (space, name), value in customized.options().items()
        if space == VARIABLES
    )
    assert size < 4_096


def test_the_instances_have_their_permissions_before_they_start(default: Template) -> None:
    (environment,) = (
        r for r in default.resources.values() if r["Type"] == "AWS::ElasticBeanstalk::Environment"
    )
    awaited = {default.resources[name]["Type"] for name in environment["DependsOn"]}
    assert {"AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"} <= awaited


def test_the_outputs_are_what_a_producer_and_an_operator_need(
    default: Template, pull: Template
) -> None:
    both = {
        "QueueUrl",
        "QueueArn",
        "DeadLetterQueueUrl",
        "LedgerTable",
        "EventKeySecret",
        "RelayPolicyArn",
        "ProducerPolicyArn",
        "OperatorPolicyArn",
        "ProducerPolicy",
        "OperatorPolicy",
        "AlarmTopic",
        "DashboardName",
    }
    assert set(default.outputs) == both | {"EnvironmentName"}
    assert set(pull.outputs) == both | {"RelayVariables"}
