"""A simulated AWS (moto) that can create our unmodified template; runs as a process.

moto's CloudFormation lacks some of its resource types. They are registered here: a type that
another part of moto supports is created there. Every resource of these types is also written to a
file, with all references resolved. It is a process of its own because moto's registries are global.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from moto.cloudwatch.models import Dimension, MetricDataQuery, MetricStat, cloudwatch_backends
from moto.cloudwatch.models import Metric as AlarmMetric
from moto.core.common_models import CloudFormationModel
from moto.elbv2 import models as _balancing  # noqa: F401 - ours have to come after its own
from moto.secretsmanager.models import secretsmanager_backends
from moto.server import ThreadedMotoServer
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

Properties = dict[str, Any]
Create = Callable[[Properties, str, str], str | None]
"""Creates a resource from properties, account and region. Returns its physical id, if needed."""


def register(kind: str, name_property: str, create: Create, record: Path) -> None:
    """Register a resource type with moto's CloudFormation."""

    class Model(CloudFormationModel):
        # moto takes the service's name from here, and a script's own is "__main__".
        __module__ = "tests.deploy.cloudformation"

        def __init__(self, ident: str, account: str, region: str) -> None:
            self.physical_resource_id = ident
            self.arn = f"arn:aws:cloudwatch:{region}:{account}:alarm:{ident}"

        def get_cfn_attribute(self, attribute: str) -> str:
            # Of these types, our template uses an attribute of alarms and of URLs only.
            if (kind, attribute) == ("AWS::Lambda::Url", "FunctionUrl"):
                return "https://abcdefgh.lambda-url.eu-west-1.on.aws/"
            assert (kind.startswith("AWS::CloudWatch"), attribute) == (True, "Arn")
            return self.arn

        @staticmethod
        def cloudformation_name_type() -> str:
            return name_property

        @staticmethod
        def cloudformation_type() -> str:
            return kind

        @classmethod
        def has_cfn_attr(cls, attr: str) -> bool:
            return False

        @classmethod
        def create_from_cloudformation_json(
            cls,
            resource_name: str,
            cloudformation_json: dict[str, Any],
            account_id: str,
            region_name: str,
            **kwargs: Any,
        ) -> Model:
            properties = cloudformation_json["Properties"]
            created = {"type": kind, "name": resource_name, "properties": properties}
            (record / f"{uuid4().hex}.json").write_text(json.dumps(created, default=str))
            ident = create(properties, account_id, region_name) or resource_name
            return cls(ident, account_id, region_name)

    MODELS.append(Model)


MODELS: list[type] = []
"""References to the models, since moto finds them through weak references to subclasses."""


def alarm(properties: Properties, account: str, region: str) -> None:
    """Create an alarm in moto's CloudWatch."""
    cloudwatch_backends[account][region].put_metric_alarm(
        name=properties["AlarmName"],
        namespace=properties.get("Namespace", ""),
        metric_name=properties.get("MetricName", ""),
        comparison_operator=properties["ComparisonOperator"],
        evaluation_periods=properties["EvaluationPeriods"],
        period=properties.get("Period", 0),
        threshold=properties["Threshold"],
        statistic=properties.get("Statistic", ""),
        description=properties["AlarmDescription"],
        dimensions=properties.get("Dimensions", []),
        alarm_actions=properties.get("AlarmActions", []),
        metric_data_queries=[query(q) for q in properties.get("Metrics", [])],
        treat_missing_data=properties["TreatMissingData"],
    )


def query(found: Properties) -> MetricDataQuery:
    stat = None
    if "MetricStat" in found:
        metric = found["MetricStat"]["Metric"]
        dimensions = [Dimension(d["Name"], d["Value"]) for d in metric["Dimensions"]]
        stat = MetricStat(
            metric=AlarmMetric(metric["MetricName"], metric["Namespace"], dimensions),
            period=found["MetricStat"]["Period"],
            stat=found["MetricStat"]["Stat"],
            unit="",
        )
    return MetricDataQuery(
        query_id=found["Id"],
        label=found.get("Label", ""),
        period=str(found.get("Period", 60)),
        return_data=str(found.get("ReturnData", True)).lower(),
        expression=found.get("Expression"),
        metric_stat=stat,
    )


def queue_policy(properties: Properties, account: str, region: str) -> None:
    """Set the policy of moto's queue."""
    for url in properties["Queues"]:
        text = json.dumps(properties["PolicyDocument"])
        backend = sqs_backends[account][region]
        backend.set_queue_attributes(url.rsplit("/", 1)[1], {"Policy": text})


def topic_policy(properties: Properties, account: str, region: str) -> None:
    """Set the policy of moto's topic."""
    for arn in properties["Topics"]:
        text = json.dumps(properties["PolicyDocument"])
        sns_backends[account][region].set_topic_attribute(arn, "Policy", text)


def secret(properties: Properties, account: str, region: str) -> str:
    """Create a secret without a value, as CloudFormation does. Returns its ARN."""
    made = secretsmanager_backends[account][region].create_secret(
        name=f"EventKey-{uuid4().hex[:8]}",
        secret_string=None,
        secret_binary=None,
        description=properties["Description"],
        tags=[],
        kms_key_id=properties.get("KmsKeyId"),
        client_request_token=None,
        replica_regions=[],
        force_overwrite=False,
    )
    arn: str = json.loads(made)["ARN"]
    return arn


def nothing(_properties: Properties, _account: str, _region: str) -> None:
    """moto has no such resource; that it is written to a file is enough."""


TYPES: dict[str, tuple[str, Create]] = {
    "AWS::CloudWatch::Alarm": ("AlarmName", alarm),
    "AWS::CloudWatch::CompositeAlarm": ("AlarmName", nothing),
    "AWS::SQS::QueuePolicy": ("", queue_policy),
    "AWS::SNS::TopicPolicy": ("", topic_policy),
    "AWS::SecretsManager::Secret": ("Name", secret),
    # moto's own looks for the certificate, which nothing creates.
    "AWS::ElasticLoadBalancingV2::Listener": ("", nothing),
    "AWS::Lambda::Url": ("", nothing),
    "AWS::Lambda::Permission": ("", nothing),
    "AWS::ApplicationAutoScaling::ScalableTarget": ("", nothing),
    "AWS::ApplicationAutoScaling::ScalingPolicy": ("PolicyName", nothing),
    "AWS::ElasticBeanstalk::Application": ("ApplicationName", nothing),
    "AWS::ElasticBeanstalk::ApplicationVersion": ("", nothing),
    "AWS::ElasticBeanstalk::Environment": ("EnvironmentName", nothing),
}


def main(record: Path) -> None:
    """Print the port to stdout, and serve until stdin ends."""
    for kind, (name_property, create) in TYPES.items():
        register(kind, name_property, create, record)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    print(port, flush=True)  # noqa: T201 - read by the parent process
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
