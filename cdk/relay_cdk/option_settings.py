"""The option settings of the worker environment.

Options that the bundle's `.ebextensions` also set have the same value there; a test compares them.
Options that a stack sets directly override the bundle's.
"""

from __future__ import annotations

from collections.abc import Mapping

from relay.settings import clocks
from relay_cdk.options import Options

Settings = Mapping[str, Mapping[str, str]]
"""Values by namespace and name. Elastic Beanstalk accepts text only."""

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
    # No effect on a queue with its own redrive policy; the maximum for any other queue.
    "MaxRetries": "100",
}

DEPLOYMENT: Settings = {
    # One additional instance during a deployment keeps the capacity.
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
    # Rotated logs are copied to Elastic Beanstalk's bucket, so they outlive the instance.
    "aws:elasticbeanstalk:hostmanager": {"LogPublicationControl": "true"},
}


def settings(
    options: Options,
    *,
    queue_url: str,
    queue_name: str,
    network: Mapping[str, str],
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
        **({"aws:ec2:vpc": network} if network else {}),
        "aws:elasticbeanstalk:sqsd": {"WorkerQueueURL": queue_url, **SQSD},
        "aws:elasticbeanstalk:environment": {
            # The type that can have several instances; a worker gets no load balancer with it.
            "EnvironmentType": "LoadBalanced",
            "ServiceRole": service_role,
        },
        # Used by the scaling policy in the bundle.
        "aws:elasticbeanstalk:customoption": {
            "RelayQueueName": queue_name,
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
            "SupportedArchitectures": options.processor,
        },
    }
