"""The roles of the instances and Elastic Beanstalk, and the policies for relay and people."""

from __future__ import annotations

from collections.abc import Iterable

from aws_cdk import aws_iam as iam
from constructs import Construct

from relay_cdk import permissions, platform_permissions
from relay_cdk.options import Options
from relay_cdk.permissions import Resources

SERVICE_POLICIES = (
    "service-role/AWSElasticBeanstalkEnhancedHealth",
    "AWSElasticBeanstalkManagedUpdatesCustomerRolePolicy",
)


def policy(
    scope: Construct, ident: str, description: str, statements: Iterable[iam.PolicyStatement]
) -> iam.ManagedPolicy:
    """A managed policy, which can also be attached to roles outside this stack."""
    return iam.ManagedPolicy(scope, ident, description=description, statements=list(statements))


def relay_policy(scope: Construct, resources: Resources) -> iam.ManagedPolicy:
    """What the relay needs, and nothing else."""
    return policy(
        scope,
        "RelayPolicy",
        "What the relay needs: for the worker's instances, or for the role of `relay poll`",
        permissions.relay_statements(resources),
    )


def producer_policy(scope: Construct, resources: Resources) -> iam.ManagedPolicy:
    """What a producer of this account needs."""
    return policy(
        scope,
        "ProducerPolicy",
        "Lets a role publish to the relay's queue",
        permissions.producer_statements(resources.queue, resources.key),
    )


def operator_policy(scope: Construct, resources: Resources) -> iam.ManagedPolicy:
    """What an operator of the relay needs."""
    return policy(
        scope,
        "OperatorPolicy",
        "Lets an operator inspect, redrive and trace the relay's messages",
        permissions.operator_statements(resources),
    )


def instance_role(
    scope: Construct, options: Options, queue: str, relay: iam.ManagedPolicy
) -> iam.Role:
    """The role of the worker's instances, with what relay and worker tier need."""
    role = iam.Role(
        scope,
        "InstanceRole",
        assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
        description="The relay's worker instances",
        managed_policies=[relay],
    )
    for statement in platform_permissions.worker_tier_statements(options.name, queue):
        role.add_to_policy(statement)
    if options.session_manager:
        for statement in platform_permissions.session_manager_statements():
            role.add_to_policy(statement)
    return role


def service_role(scope: Construct) -> iam.Role:
    """The role with which Elastic Beanstalk monitors and updates the environment."""
    role = iam.Role(
        scope,
        "ServiceRole",
        assumed_by=iam.ServicePrincipal(
            "elasticbeanstalk.amazonaws.com",
            # The external id that Elastic Beanstalk sends: no other service may assume the role.
            conditions={"StringEquals": {"sts:ExternalId": "elasticbeanstalk"}},
        ),
        description="Elastic Beanstalk's own, for health and managed updates",
        managed_policies=[
            iam.ManagedPolicy.from_aws_managed_policy_name(name) for name in SERVICE_POLICIES
        ],
    )
    for statement in platform_permissions.managed_update_statements():
        role.add_to_policy(statement)
    return role
