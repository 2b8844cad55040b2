"""A new network has no NAT gateway, and reaches either the internet or only AWS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from relay_cdk.host_checks import host_problems, is_public
from relay_cdk.options import Options
from relay_cdk.setting_checks import with_wired
from tests.deploy.template import Template

SERVICES = {"sqs", "secretsmanager", "logs", "monitoring", "ecr.api", "ecr.dkr"}
"""The AWS services that a task calls, or that ECS calls for it."""


@pytest.fixture(scope="module")
def private(synthesized: Path) -> Template:
    return Template.of(synthesized / "fargate-private.json")


def endpoints(template: Template, kind: str) -> set[str]:
    found = (e for e in template.of_type("AWS::EC2::VPCEndpoint") if e["VpcEndpointType"] == kind)
    return {"".join(map(str, e["ServiceName"]["Fn::Join"][1])).split("'}.")[1] for e in found}


@pytest.mark.parametrize("kind", ["AWS::EC2::NatGateway", "AWS::EC2::EIP"])
def test_it_has_no_nat_gateway(fargate: Template, private: Template, kind: str) -> None:
    assert not fargate.of_type(kind)
    assert not private.of_type(kind)


def test_s3_and_dynamodb_are_reached_without_a_charge(fargate: Template, private: Template) -> None:
    for template in (fargate, private):
        assert endpoints(template, "Gateway") == {"s3", "dynamodb"}


def test_a_private_network_has_an_endpoint_for_each_service_that_is_called(
    private: Template,
) -> None:
    assert not private.of_type("AWS::EC2::InternetGateway")
    # Its settings have a parameter and a state machine.
    assert endpoints(private, "Interface") == SERVICES | {"ssm", "states"}
    network = private.one("AWS::ECS::Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "DISABLED"


def test_only_tasks_reach_the_endpoints_and_nothing_reaches_the_tasks(private: Template) -> None:
    ingress = private.one("AWS::EC2::SecurityGroupIngress")
    assert (ingress["IpProtocol"], ingress["FromPort"], ingress["ToPort"]) == ("tcp", 443, 443)
    groups = {n: r for n, r in private.resources.items() if "SecurityGroup" in r["Type"]}
    tasks = ingress["SourceSecurityGroupId"]["Fn::GetAtt"][0]
    assert "Tasks of the relay" in groups[tasks]["Properties"]["GroupDescription"]
    assert not [g for g in groups.values() if "SecurityGroupIngress" in g["Properties"]]


def test_a_public_network_gives_an_address_to_tasks_alone(fargate: Template) -> None:
    network = fargate.one("AWS::ECS::Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "ENABLED"
    assert {s["MapPublicIpOnLaunch"] for s in fargate.of_type("AWS::EC2::Subnet")} == {False}
    assert not fargate.of_type("AWS::EC2::SecurityGroupIngress")
    assert not endpoints(fargate, "Interface")


def test_the_service_waits_for_the_network(fargate: Template, private: Template) -> None:
    def waits_for(template: Template) -> set[str]:
        resources = template.resources
        (service,) = (r for r in resources.values() if r["Type"] == "AWS::ECS::Service")
        return {resources[name]["Type"] for name in service["DependsOn"]}

    assert "AWS::EC2::Route" in waits_for(fargate)
    assert "AWS::EC2::VPCEndpoint" in waits_for(private)
    assert "AWS::IAM::Policy" in waits_for(private)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("https://inn.gs", True),
        ("https://eu.prefect.cloud/api", True),
        ("//orders.a1b2c.tmprl.cloud:7233", True),
        ("https://52.95.110.1", True),
        ("http://10.0.0.5:8288", False),
        ("http://[fd00::1]:8288", False),
        ("http://inngest.corp:8288", False),
        ("https://notinn.gs", False),
        ("", False),
    ],
)
def test_an_address_is_public_only_if_that_is_certain(address: str, public: bool) -> None:
    assert is_public(address) == public


def problems(options: Options, *, has_vpc: bool = False) -> list[str]:
    return list(host_problems(options, with_wired(options).settings, has_vpc=has_vpc))


def test_a_destination_on_the_internet_needs_a_way_there() -> None:
    isolated = Options(worker="fargate", public_addresses=False)
    (sentence,) = problems(isolated)
    assert "inngest sends to inn.gs, which is there" in sentence
    assert "NAT gateway" in sentence
    assert problems(replace(isolated, inngest_url="http://inngest.corp:8288")) == []
    # Whoever brings a network knows where it leads.
    assert problems(isolated, has_vpc=True) == []
    assert problems(Options(worker="fargate")) == []


def test_every_destination_with_an_address_is_looked_at() -> None:
    settings = {
        "RELAY_ROUTES": "a/*=webhook,*=temporal",
        "RELAY_WEBHOOK_URL": "http://hooks.corp/in",
        "RELAY_TEMPORAL_ADDRESS": "orders.a1b2c.tmprl.cloud:7233",
        "RELAY_TEMPORAL_WORKFLOW": "order",
        "RELAY_TEMPORAL_TASK_QUEUE": "orders",
    }
    isolated = Options(worker="fargate", public_addresses=False, settings=settings)
    (sentence,) = problems(isolated)
    assert "temporal sends to orders.a1b2c.tmprl.cloud" in sentence
