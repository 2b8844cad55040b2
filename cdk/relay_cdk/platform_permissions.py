"""The IAM statements for Elastic Beanstalk and Session Manager, which no code of the relay uses."""

from __future__ import annotations

from collections.abc import Iterator

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from relay_cdk.permissions import allow, arn

PUBLISHED_LOGS = "resources/environments/logs"
"""Where Elastic Beanstalk's bucket has the logs of instances."""

SCALING_GROUPS = "autoScalingGroup:*:autoScalingGroupName"
SCALING_GROUP_PREFIXES = ("awseb-e", "eb")
"""What the names of Elastic Beanstalk's Auto Scaling groups begin with."""


def worker_tier_statements(name: str, queue: str) -> Iterator[iam.PolicyStatement]:
    """What Elastic Beanstalk's daemons need in the instance's role, besides `relay_statements`.

    The same as the managed policy AWSElasticBeanstalkWorkerTier, but restricted to resources with
    known names. `name` is the name of both the application and the environment.
    """
    # sqsd sends the tasks of a cron.yaml to the queue.
    yield allow("PeriodicTasks", [queue], "sqs:SendMessage")
    # sqsd's leader election. Elastic Beanstalk creates the table and chooses its name.
    yield allow(
        "PeriodicTaskLeader",
        [arn("dynamodb", "table/*-stack-AWSEBWorkerCronLeaderRegistry*")],
        "dynamodb:BatchGetItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:Scan",
        "dynamodb:UpdateItem",
    )
    # Without this the environment's health is "No Data".
    yield allow(
        "Health",
        [
            arn("elasticbeanstalk", f"application/{name}"),
            arn("elasticbeanstalk", f"environment/{name}/{name}"),
        ],
        "elasticbeanstalk:PutInstanceStatistics",
    )
    # Metrics of sqsd and the health agent; AWS chooses their namespaces.
    yield iam.PolicyStatement(
        sid="PlatformMetrics",
        actions=["cloudwatch:PutMetricData"],
        resources=["*"],
        conditions={
            "StringLike": {"cloudwatch:namespace": ["ElasticBeanstalk*", "AWS/ElasticBeanstalk"]}
        },
    )
    # The platform's own logs, in groups that Elastic Beanstalk creates.
    yield allow(
        "PlatformLogs",
        [arn("logs", f"log-group:/aws/elasticbeanstalk/{name}/*")],
        "logs:CreateLogStream",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
    )
    # The application's versions, and what the platform keeps for its instances.
    bucket = f"arn:{cdk.Aws.PARTITION}:s3:::elasticbeanstalk-{cdk.Aws.REGION}-{cdk.Aws.ACCOUNT_ID}"
    yield allow("PlatformBucket", [bucket], "s3:ListBucket")
    yield allow("PlatformFiles", [f"{bucket}/*"], "s3:GetObject", "s3:GetObjectVersion")
    # Logs that are requested or rotated.
    yield allow("PublishedLogs", [f"{bucket}/{PUBLISHED_LOGS}/*"], "s3:PutObject")


def session_manager_statements() -> Iterator[iam.PolicyStatement]:
    """What Session Manager's agent needs to open a shell on an instance.

    The least that the Systems Manager user guide names. The managed policy
    AmazonSSMManagedInstanceCore would also let the instance read every parameter of the account.
    """
    # None of these has resources, except the first, whose instances are not known before.
    yield allow(
        "SessionManager",
        ["*"],
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    )


def managed_update_statements() -> Iterator[iam.PolicyStatement]:
    """What a managed update needs besides AWS's own policy for it.

    The bundle's `.ebextensions` enable metrics of the Auto Scaling group, for which that policy
    lacks the permission. Elastic Beanstalk chooses the group's name, with one of two prefixes.
    """
    yield allow(
        "ScalingGroupMetrics",
        [arn("autoscaling", f"{SCALING_GROUPS}/{p}-*") for p in SCALING_GROUP_PREFIXES],
        "autoscaling:EnableMetricsCollection",
    )
