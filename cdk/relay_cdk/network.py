"""Where tasks and functions run: a network that exists, or a new one without a NAT gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import Construct, IDependable

ZONES = 2
"""Availability zones of a new network."""

ENDPOINTS: Mapping[str, ec2.InterfaceVpcEndpointAwsService] = {
    "Sqs": ec2.InterfaceVpcEndpointAwsService.SQS,
    "SecretsManager": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "Monitoring": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_MONITORING,
    "EcrApi": ec2.InterfaceVpcEndpointAwsService.ECR,
    "EcrDocker": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
}
"""The interface endpoints that a task needs without a way to the internet. S3, from which the
layers of an image come, and DynamoDB have gateway endpoints."""

GATEWAYS: Mapping[str, ec2.GatewayVpcEndpointAwsService] = {
    "S3": ec2.GatewayVpcEndpointAwsService.S3,
    "DynamoDb": ec2.GatewayVpcEndpointAwsService.DYNAMODB,
}
"""Those that cost nothing, so every new network has them."""

MORE_ENDPOINTS: Mapping[str, ec2.InterfaceVpcEndpointAwsService] = {
    "Parameters": ec2.InterfaceVpcEndpointAwsService.SSM,
    "StepFunctions": ec2.InterfaceVpcEndpointAwsService.STEP_FUNCTIONS,
}
"""Those that some settings need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The subnets to run in, and whether what runs there gets public addresses."""

    vpc: str
    subnets: Sequence[str]
    public_addresses: bool

    def option_settings(self) -> dict[str, str]:
        """The settings of Elastic Beanstalk's namespace `aws:ec2:vpc`."""
        return {
            "VPCId": self.vpc,
            "Subnets": cdk.Fn.join(",", list(self.subnets)),
            "AssociatePublicIpAddress": str(self.public_addresses).lower(),
        }


def outbound_only(scope: Construct, ident: str, vpc: ec2.IVpc, what: str) -> ec2.SecurityGroup:
    """A security group that accepts no connection and allows all outgoing ones."""
    return ec2.SecurityGroup(
        scope, ident, vpc=vpc, description=f"{what}: outgoing connections only"
    )


def by_id(scope: Construct, placement: Placement) -> ec2.IVpc:
    """The placement's VPC, of which only the id is known."""
    return ec2.Vpc.from_vpc_attributes(
        scope, "Vpc", vpc_id=placement.vpc, availability_zones=["unknown"]
    )


class Network(Construct):
    """A new VPC for tasks, without a NAT gateway, and the security group of the tasks.

    With `public_addresses` tasks have public addresses and reach the internet, but nothing reaches
    them. Without, they reach only the AWS services that have endpoints here, and what the VPC is
    connected with.
    """

    def __init__(
        self, scope: Construct, ident: str, *, public_addresses: bool, more: Sequence[str] = ()
    ) -> None:
        super().__init__(scope, ident)
        kind = ec2.SubnetType.PUBLIC if public_addresses else ec2.SubnetType.PRIVATE_ISOLATED
        vpc = self.vpc = self._vpc(kind, public_addresses=public_addresses)
        self.security_group = outbound_only(self, "Tasks", vpc, "Tasks of the relay")
        self.connectivity: list[IDependable] = [
            vpc.add_gateway_endpoint(name, service=service) for name, service in GATEWAYS.items()
        ]
        """What has to exist before a task can reach AWS."""
        selected = vpc.select_subnets(subnet_type=kind)
        if public_addresses:
            self.connectivity.append(selected.internet_connectivity_established)
        else:
            self.connectivity += self._endpoints([*ENDPOINTS, *more])
        self.placement = Placement(
            vpc=vpc.vpc_id, subnets=selected.subnet_ids, public_addresses=public_addresses
        )

    def _vpc(self, kind: ec2.SubnetType, *, public_addresses: bool) -> ec2.Vpc:
        subnets = ec2.SubnetConfiguration(
            name="Tasks",
            subnet_type=kind,
            # The service asks for an address for each of its tasks; nothing else gets one.
            map_public_ip_on_launch=False if public_addresses else None,
        )
        return ec2.Vpc(
            self,
            "Vpc",
            max_azs=ZONES,
            nat_gateways=0,
            subnet_configuration=[subnets],
            # It would take a function with permissions of its own; nothing uses that group.
            restrict_default_security_group=False,
        )

    def _endpoints(self, names: Sequence[str]) -> Iterator[IDependable]:
        group = ec2.SecurityGroup(
            self,
            "Endpoints",
            vpc=self.vpc,
            description="AWS services: HTTPS from tasks of the relay only",
            allow_all_outbound=False,
        )
        group.add_ingress_rule(self.security_group, ec2.Port.tcp(443), "HTTPS")
        for name in names:
            yield self.vpc.add_interface_endpoint(
                name,
                service={**ENDPOINTS, **MORE_ENDPOINTS}[name],
                security_groups=[group],
                open=False,
            )
