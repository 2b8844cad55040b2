"""The option settings of the worker environment, each set on purpose.

What the bundle's `.ebextensions` set too has the same value there; a test compares them. Options
that a stack sets directly win over the bundle's.
"""

from __future__ import annotations

from collections.abc import Mapping

from cdk.options import Options
from relay.settings import clocks

Settings = Mapping[str, Mapping[str, str]]
"""Values by namespace and name. Elastic Beanstalk takes text only."""

VARIABLES = "aws:elasticbeanstalk:application:environment"

SQSD = {
    "HttpPath": "/",
    "MimeType": "application/json",
    "HttpConnections": f"{clocks.HTTP_CONNECTIONS}",
    "ConnectTimeout": "5",
    "InactivityTimeout": f"{clocks.INACTIVITY_TIMEOUT:.0f}",
    "VisibilityTimeout": f"{clocks.VISIBILITY_TIMEOUT:.0f}",
    "ErrorVisibilityTimeout": f"{clocks.ERROR_VISIBILITY_TIMEOUT:.0f}",
    "RetentionPeriod": f"{clocks.SQSD_RETENTION:.0f}",
    # Of no effect on a queue with a redrive policy of its own; as high as it goes for any other.
    "MaxRetries": "100",
}

DEPLOYMENT: Settings = {
    # One instance more for the time of a deployment: the capacity stays.
    "aws:elasticbeanstalk:command": {
        "DeploymentPolicy": "RollingWithAdditionalBatch",
        "BatchSizeType": "Fixed",
        "BatchSize": "1",
        "Timeout": "900",
    },
    "aws:autoscaling:updatepolicy:rollingupdate": {
        "RollingUpdateEnabled": "true",
        "RollingUpdateType": "Health",
        "MaxBatchSize": "1",
        "MinInstancesInService": "1",
        "Timeout": "PT30M",
    },
}

HEALTH: Settings = {
    "aws:elasticbeanstalk:application": {"Application Healthcheck URL": "/health"},
    "aws:elasticbeanstalk:healthreporting:system": {"SystemType": "enhanced"},
}

LOGS: Settings = {
    "aws:elasticbeanstalk:cloudwatch:logs": {
        "StreamLogs": "true",
        "DeleteOnTerminate": "false",
        "RetentionInDays": "7",
    },
    # Rotated logs go to Elastic Beanstalk's bucket before an instance goes.
    "aws:elasticbeanstalk:hostmanager": {"LogPublicationControl": "true"},
}


def settings(
    options: Options,
    *,
    queue_url: str,
    variables: Mapping[str, str],
    instance_profile: str,
    service_role: str,
) -> Settings:
    """All settings of one environment."""
    return {
        **DEPLOYMENT,
        **HEALTH,
        **LOGS,
        **_managed_updates(service_role),
        **_machines(options, instance_profile),
        **_network(options),
        "aws:elasticbeanstalk:sqsd": {"WorkerQueueURL": queue_url, **SQSD},
        "aws:elasticbeanstalk:environment": {
            # The type that may have several instances; a worker gets no balancer with it.
            "EnvironmentType": "LoadBalanced",
            "ServiceRole": service_role,
        },
        # The scaling policy in the bundle reads these two.
        "aws:elasticbeanstalk:customoption": {
            "RelayQueueName": options.queue_name,
            "RelayService": options.name,
        },
        VARIABLES: dict(variables),
    }


def _managed_updates(service_role: str) -> Settings:
    return {
        "aws:elasticbeanstalk:managedactions": {
            "ManagedActionsEnabled": "true",
            "PreferredStartTime": "Tue:09:00",
            "ServiceRoleForManagedUpdates": service_role,
        },
        "aws:elasticbeanstalk:managedactions:platformupdate": {
            "UpdateLevel": "minor",
            "InstanceRefreshEnabled": "false",
        },
    }


def _machines(options: Options, instance_profile: str) -> Settings:
    return {
        "aws:autoscaling:asg": {
            "MinSize": f"{options.min_instances}",
            "MaxSize": f"{options.max_instances}",
        },
        "aws:autoscaling:launchconfiguration": {
            "IamInstanceProfile": instance_profile,
            "DisableIMDSv1": "true",
            "RootVolumeType": "gp3",
        },
        "aws:ec2:instances": {
            "InstanceTypes": options.instance_type,
            "SupportedArchitectures": options.architecture,
        },
    }


def _network(options: Options) -> Settings:
    if options.vpc is None:
        return {}
    return {
        "aws:ec2:vpc": {
            "VPCId": options.vpc,
            "Subnets": ",".join(options.subnets),
            "AssociatePublicIpAddress": str(options.public_addresses).lower(),
        }
    }
