"""The Fargate service: what runs in a task, how it is replaced, stopped and scaled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ecs as ecs

from relay.settings import clocks
from relay.telemetry import metrics
from relay_cdk.existing import Existing
from relay_cdk.host_checks import MEMORY_OF_CPU
from relay_cdk.options import BadOption, Options
from relay_cdk.relay import Relay
from relay_cdk.task import container_image
from tests.deploy.deployments import IMAGE, existing
from tests.deploy.template import Template


@pytest.fixture(scope="module")
def private(synthesized: Path) -> Template:
    return Template.of(synthesized / "fargate-private.json")


@pytest.fixture(scope="module")
def in_vpc(synthesized: Path) -> Template:
    return Template.of(synthesized / "fargate-vpc.json")


def container(template: Template) -> dict[str, Any]:
    (found,) = template.one("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    return dict(found)


def variables(template: Template) -> dict[str, Any]:
    return {v["Name"]: v["Value"] for v in container(template)["Environment"]}


def test_a_task_polls_as_a_user_without_privileges_on_a_read_only_root(fargate: Template) -> None:
    running = container(fargate)
    assert running["Command"] == ["poll"]
    assert running["User"] == "10001"
    assert running["ReadonlyRootFilesystem"] is True
    assert running["LinuxParameters"] == {
        "Capabilities": {"Drop": ["ALL"]},
        "InitProcessEnabled": True,
    }
    assert [(m["ContainerPath"], m["ReadOnly"]) for m in running["MountPoints"]] == [
        ("/tmp", False)
    ]
    assert "PortMappings" not in running


def test_the_health_check_is_the_relays_own_on_its_port(fargate: Template) -> None:
    check = container(fargate)["HealthCheck"]
    assert check["Command"] == ["CMD", "relay", "health"]
    # A relay that starts halted, because its key is still missing, is healthy.
    assert variables(fargate)["PORT"] == "8000"


def test_keys_are_looked_up_by_reference_at_run_time(private: Template) -> None:
    given = variables(private)
    assert given["RELAY_INNGEST_SIGNING_KEY_SECRET"] == "ssm:/shop/signing-key"
    event_key = given["RELAY_INNGEST_EVENT_KEY_SECRET"]["Ref"]
    assert private.resources[event_key]["Type"] == "AWS::SecretsManager::Secret"
    # ECS would resolve these once, when the task starts: a rotated key would need a deployment.
    assert "Secrets" not in container(private)


def test_a_task_may_stop_for_as_long_as_the_relay_needs(
    fargate: Template, private: Template
) -> None:
    assert container(fargate)["StopTimeout"] >= clocks.DRAIN_DEADLINE + clocks.LAST_STEPS
    assert container(private)["StopTimeout"] >= 60 + clocks.LAST_STEPS
    assert container(fargate)["StopTimeout"] <= 30, "the default of ECS suffices for our default"


def test_a_deployment_keeps_the_capacity_and_is_rolled_back_if_it_fails(fargate: Template) -> None:
    service = fargate.one("AWS::ECS::Service")
    deployment = service["DeploymentConfiguration"]
    assert deployment["MinimumHealthyPercent"] == 100
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    # Otherwise each deployment would undo what scaling has set.
    assert "DesiredCount" not in service


def test_the_processor_is_an_option(fargate: Template, private: Template) -> None:
    def architecture(template: Template) -> str:
        platform = template.one("AWS::ECS::TaskDefinition")["RuntimePlatform"]
        return str(platform["CpuArchitecture"])

    assert (architecture(fargate), architecture(private)) == ("X86_64", "ARM64")


def test_the_log_goes_to_the_stacks_group_and_cannot_stop_the_relay(fargate: Template) -> None:
    log = container(fargate)["LogConfiguration"]["Options"]
    group = fargate.resources[log["awslogs-group"]["Ref"]]["Properties"]
    assert (group["LogGroupName"], group["RetentionInDays"]) == ("/relay/tasks", 90)
    assert log["mode"] == "non-blocking"


def queries(template: Template) -> dict[str, Any]:
    policy = template.one("AWS::ApplicationAutoScaling::ScalingPolicy")
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    return {q["Id"]: q for q in tracking["CustomizedMetricSpecification"]["Metrics"]}


def target(template: Template) -> float:
    policy = template.one("AWS::ApplicationAutoScaling::ScalingPolicy")
    return float(policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"])


def backlog(template: Template, **values: float | None) -> float:
    """The policy's metric: Python can evaluate its expression, given the functions."""
    functions = {
        "IF": lambda condition, then, otherwise: then if condition else otherwise,
        "FILL": lambda series, value: value if series is None else series,
    }
    known = {"paused": None, **values}
    return float(eval(queries(template)["backlog"]["Expression"], functions, known))


def test_scaling_follows_the_messages_of_each_task(in_vpc: Template) -> None:
    assert target(in_vpc) == 500
    assert backlog(in_vpc, circuit=0, waiting=8_000, inflight=1_000, tasks=3) == 3_000
    assert backlog(in_vpc, circuit=None, waiting=90, inflight=10, tasks=2) == 50


@pytest.mark.parametrize("state", ["half-open", "open", "halted"])
def test_while_the_circuit_is_not_closed_the_number_of_tasks_stays(
    fargate: Template, in_vpc: Template, state: str
) -> None:
    for template in (fargate, in_vpc):
        circuit = metrics.CIRCUIT_STATES[state]
        value = backlog(template, circuit=circuit, waiting=10**6, inflight=0, tasks=2)
        assert value == target(template)


def test_while_the_queue_is_paused_the_number_of_tasks_stays(in_vpc: Template) -> None:
    value = backlog(in_vpc, circuit=0, paused=1, waiting=10**6, inflight=0, tasks=2)
    assert value == target(in_vpc)


def test_scaling_reads_metrics_that_exist_and_none_summed_but_the_reports(
    fargate: Template,
) -> None:
    stats = {n: q["MetricStat"] for n, q in queries(fargate).items() if "MetricStat" in q}
    ours = {n: s["Metric"] for n, s in stats.items() if s["Metric"]["Namespace"] == "Relay"}
    assert {n: m["MetricName"] for n, m in ours.items()} == {
        "circuit": metrics.CIRCUIT_STATE.name,
        "paused": metrics.PAUSED.name,
        "tasks": metrics.HEARTBEAT.name,
    }
    for metric in ours.values():
        given = {d["Name"]: d["Value"] for d in metric["Dimensions"]}
        assert given == {"service": "tasks", "queue": "tasks-events"}
        assert tuple(given) == metrics.DIMENSIONS
    # One report of each relay in the minute of a value; SQS reports each message every minute.
    assert metrics.FLUSH_SECONDS == 60
    assert {n for n, s in stats.items() if s["Stat"] == "Sum"} == {"tasks"}


def test_there_are_never_fewer_or_more_tasks_than_the_options_say(
    fargate: Template, in_vpc: Template
) -> None:
    def limits(template: Template) -> tuple[int, int]:
        found = template.one("AWS::ApplicationAutoScaling::ScalableTarget")
        return found["MinCapacity"], found["MaxCapacity"]

    assert limits(fargate) == (2, 4)
    assert limits(in_vpc) == (1, 1)


def test_the_image_of_another_account_is_fetched_from_its_repository(private: Template) -> None:
    image = str(container(private)["Image"])
    assert "222222222222.dkr.ecr.eu-west-1." in image
    assert f"/relay@sha256:{'0a' * 32}" in image
    pull = next(s for s in private.statements() if "ecr:BatchGetImage" in s["Action"])
    assert ":ecr:eu-west-1:222222222222:repository/relay" in str(pull["Resource"])


def test_without_an_image_it_is_built_for_the_processor(tmp_path: Path) -> None:
    root, out = tmp_path / "root", tmp_path / "out"
    root.mkdir()
    (root / "Dockerfile").write_text("FROM scratch\n")
    app = cdk.App(outdir=str(out))
    stack = cdk.Stack(app, "stack")
    arm = Options(worker="fargate", architecture="arm64")
    definition = ecs.FargateTaskDefinition(stack, "Task")
    definition.add_container("relay", image=container_image(stack, arm, root))
    app.synth()
    images = json.loads((out / "stack.assets.json").read_text())["dockerImages"]
    (source,) = (image["source"] for image in images.values())
    assert source["platform"] == "linux/arm64"
    assert (out / source["directory"] / "Dockerfile").is_file()


def test_an_installation_without_a_dockerfile_needs_an_image(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="image is needed"):
        container_image(cdk.Stack(), Options(worker="fargate"), tmp_path)


def test_tasks_run_in_an_existing_network(in_vpc: Template) -> None:
    network = in_vpc.one("AWS::ECS::Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["Subnets"] == ["subnet-0a1b2c3d", "subnet-1a1b2c3d"]
    assert network["AssignPublicIp"] == "DISABLED"
    assert in_vpc.one("AWS::EC2::SecurityGroup")["VpcId"] == "vpc-0a1b2c3d"
    assert not in_vpc.of_type("AWS::EC2::VPC")


def test_tasks_use_the_network_and_the_log_group_of_somebody_elses_stack(tmp_path: Path) -> None:
    stack = cdk.Stack(cdk.App(outdir=str(tmp_path)), "somebody")
    given: Existing = existing(stack)
    relay = Relay(stack, "Relay", Options(worker="fargate", image=IMAGE), existing=given)
    assert relay.fargate
    assert relay.fargate.network is None
    service = stack.resolve(relay.fargate.service.network_configuration)
    assert service["awsvpcConfiguration"]["subnets"] == ["subnet-8", "subnet-9"]
    assert relay.log_group == "/shop/audit"


def test_every_size_of_a_task_is_one_that_fargate_offers() -> None:
    # From the table of task sizes in the ECS developer guide, up to two processors.
    assert list(MEMORY_OF_CPU[256]) == [512, 1_024, 2_048]
    assert (MEMORY_OF_CPU[512][0], MEMORY_OF_CPU[512][-1]) == (1_024, 4_096)
    assert (MEMORY_OF_CPU[1_024][0], MEMORY_OF_CPU[1_024][-1]) == (2_048, 8_192)
    assert (MEMORY_OF_CPU[2_048][0], MEMORY_OF_CPU[2_048][-1]) == (4_096, 16_384)
