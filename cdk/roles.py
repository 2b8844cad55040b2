"""The roles and policies: the instances', Elastic Beanstalk's, producers' and operators'."""

from __future__ import annotations

from collections.abc import Iterable

from aws_cdk import aws_iam as iam
from constructs import Construct

from cdk import permissions
from cdk.permissions import Resources

SERVICE_POLICIES = (
    "service-role/AWSElasticBeanstalkEnhancedHealth",
    "AWSElasticBeanstalkManagedUpdatesCustomerRolePolicy",
)


def policy(
    scope: Construct, ident: str, description: str, statements: Iterable[iam.PolicyStatement]
) -> iam.ManagedPolicy:
    """A managed policy, to be attached to roles that are not of this stack too."""
    return iam.ManagedPolicy(scope, ident, description=description, statements=list(statements))


def relay_policy(scope: Construct, resources: Resources) -> iam.ManagedPolicy:
    """What the relay needs, and nothing else."""
    return policy(
        scope,
        "RelayPolicy",
        "What the relay needs: for the worker's instances, or for the role of `relay poll`",
        permissions.of_relay(resources),
    )


def producer_policy(scope: Construct, resources: Resources) -> iam.ManagedPolicy:
    """What a producer of this account needs."""
    return policy(
        scope,
        "ProducerPolicy",
        "Lets a role publish to the relay's queue",
        permissions.of_producer(resources.queue, resources.key),
    )


def operator_policy(scope: Construct, resources: Resources) -> iam.ManagedPolicy:
    """What a person needs who looks after the relay."""
    return policy(
        scope,
        "OperatorPolicy",
        "Lets a person look at, redrive and trace the relay's messages",
        permissions.of_operator(resources),
    )


def instance_role(scope: Construct, name: str, queue: str, relay: iam.ManagedPolicy) -> iam.Role:
    """The role of the worker's instances: the relay's needs and the worker tier's."""
    role = iam.Role(
        scope,
        "InstanceRole",
        assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
        description="The relay's worker instances",
        managed_policies=[relay],
    )
    for statement in permissions.of_worker_tier(name, queue):
        role.add_to_policy(statement)
    return role


def service_role(scope: Construct) -> iam.Role:
    """The role with which Elastic Beanstalk watches and updates the environment."""
    return iam.Role(
        scope,
        "ServiceRole",
        assumed_by=iam.ServicePrincipal(
            "elasticbeanstalk.amazonaws.com",
            # The external id that Elastic Beanstalk sends, so that nobody else borrows the role.
            conditions={"StringEquals": {"sts:ExternalId": "elasticbeanstalk"}},
        ),
        description="Elastic Beanstalk's own, for health and managed updates",
        managed_policies=[
            iam.ManagedPolicy.from_aws_managed_policy_name(name) for name in SERVICE_POLICIES
        ],
    )
