"""The gateway in the stack: its hosts, who reaches them, and what a wrong option is answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relay.http.server import KEEP_ALIVE
from relay.settings.model import Settings
from relay_cdk.checks import check
from relay_cdk.gateway_checks import FUNCTION_TIMEOUT
from relay_cdk.gateway_needs import relay_settings
from relay_cdk.gateway_service import IDLE_TIMEOUT, deregistration_delay
from relay_cdk.options import BadOption, Options
from tests.deploy.deployments import CERTIFICATE, GATEWAY, IMAGE
from tests.deploy.template import Template
from tests.deploy.test_alarms import GATEWAY as ALARMS
from tests.deploy.test_alarms import sections, shown_on

BALANCER = "AWS::ElasticLoadBalancingV2"
FRONT = Options(worker="none", gateway="fargate", image=IMAGE, gateway_certificate=CERTIFICATE)


@pytest.fixture
def front(synthesized: Path) -> Template:
    return Template.of(synthesized / "gateway-fargate.json")


@pytest.fixture
def shared(synthesized: Path) -> Template:
    return Template.of(synthesized / "gateway-shared.json")


@pytest.fixture
def function(synthesized: Path) -> Template:
    return Template.of(synthesized / "gateway-function.json")


def attributes(properties: dict[str, Any], name: str) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in properties[name]}


def test_the_balancer_listens_with_tls_only_and_tasks_are_reached_through_it(
    front: Template,
) -> None:
    (listener,) = front.of_type(f"{BALANCER}::Listener")
    assert (listener["Port"], listener["Protocol"]) == (443, "HTTPS")
    assert listener["Certificates"] == [{"CertificateArn": CERTIFICATE}]
    assert front.one(f"{BALANCER}::LoadBalancer")["Scheme"] == "internet-facing"
    groups = front.of_type("AWS::EC2::SecurityGroup")
    open_to_all = [rule for group in groups for rule in group.get("SecurityGroupIngress", ())]
    assert [rule["FromPort"] for rule in open_to_all] == [443]
    (to_tasks,) = front.of_type("AWS::EC2::SecurityGroupIngress")
    assert (to_tasks["FromPort"], "SourceSecurityGroupId" in to_tasks) == (8000, True)


def test_without_a_certificate_it_is_reached_from_inside_only(shared: Template) -> None:
    (listener,) = shared.of_type(f"{BALANCER}::Listener")
    assert (listener["Port"], listener["Protocol"]) == (80, "HTTP")
    assert shared.one(f"{BALANCER}::LoadBalancer")["Scheme"] == "internal"
    # In the network that the relay's own tasks have.
    assert len(shared.of_type("AWS::EC2::VPC")) == 1


def test_the_balancer_never_uses_a_connection_that_the_gateway_is_closing(front: Template) -> None:
    balancer = front.one(f"{BALANCER}::LoadBalancer")
    idle = int(attributes(balancer, "LoadBalancerAttributes")["idle_timeout.timeout_seconds"])
    assert idle == IDLE_TIMEOUT < KEEP_ALIVE


def test_a_task_leaves_with_its_requests_answered(front: Template) -> None:
    target = front.one(f"{BALANCER}::TargetGroup")
    delay = attributes(target, "TargetGroupAttributes")["deregistration_delay.timeout_seconds"]
    assert int(delay) > Settings.model_fields["gateway_timeout"].default
    assert deregistration_delay(30.0) == 60
    (container,) = front.one("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    assert container["StopTimeout"] > Settings.model_fields["drain_deadline"].default


def test_the_health_check_does_not_depend_on_sqs_once_the_queue_is_open(front: Template) -> None:
    assert front.one(f"{BALANCER}::TargetGroup")["HealthCheckPath"] == "/started"
    circuit = front.one("AWS::ECS::Service")["DeploymentConfiguration"]["DeploymentCircuitBreaker"]
    assert circuit == {"Enable": True, "Rollback": True}


@pytest.mark.parametrize("variant", ["gateway-fargate", "gateway-complete", "gateway-function"])
def test_it_may_send_and_not_receive(variant: str, synthesized: Path) -> None:
    template = Template.of(synthesized / f"{variant}.json")
    (policy,) = (
        p
        for p in template.of_type("AWS::IAM::ManagedPolicy")
        if p["Description"].startswith("What the gateway needs")
    )
    actions = {
        action
        for statement in policy["PolicyDocument"]["Statement"]
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }
    assert {a for a in actions if a.startswith("sqs:")} == {
        "sqs:SendMessage",
        "sqs:GetQueueAttributes",
    }
    assert not actions & {"secretsmanager:PutSecretValue", "s3:GetObject", "s3:DeleteObject"}


def test_no_secret_is_in_a_template_and_the_relay_gets_no_setting_of_the_gateway(
    synthesized: Path,
) -> None:
    template = Template.of(synthesized / "gateway-complete.json")
    (container,) = template.one("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    variables = {one["Name"]: one["Value"] for one in container["Environment"]}
    assert json.loads(variables["RELAY_WEBHOOKS"])["stripe"]["secrets"][0].startswith("arn:")
    assert "Ref" in variables["RELAY_GATEWAY_KEY_STORE"]
    assert "RELAY_GATEWAY_KEYS" not in variables
    assert relay_settings({**GATEWAY, "RELAY_LOG_LEVEL": "info"}) == {
        "RELAY_PAYLOAD_BUCKETS": "shop-payloads",
        "RELAY_LOG_LEVEL": "info",
    }


def test_its_heartbeat_is_not_the_relays(front: Template) -> None:
    (container,) = front.one("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    variables = {one["Name"]: one["Value"] for one in container["Environment"]}
    assert variables["RELAY_SERVICE"] == "front-gateway"
    services = {m["dimensions"]["service"] for m in front.metrics() if "service" in m["dimensions"]}
    assert services == {"front", "front-gateway"}


def test_the_function_has_a_url_that_anybody_may_use_and_ends_after_each_answer(
    function: Template,
) -> None:
    assert function.one("AWS::Lambda::Url")["AuthType"] == "NONE"
    allowed = {one["Action"] for one in function.of_type("AWS::Lambda::Permission")}
    assert allowed == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
    made = function.one("AWS::Lambda::Function")
    assert made["Handler"] == "relay.app.gateway_function.handler"
    assert made["Timeout"] == FUNCTION_TIMEOUT > Settings.model_fields["gateway_timeout"].default


@pytest.mark.parametrize(
    ("variant", "name", "more"),
    [
        ("gateway-fargate", "front", {"gateway-down", "gateway-balancer-errors"}),
        ("gateway-function", "front-url", {"gateway-throttled", "gateway-function-errors"}),
    ],
)
def test_its_alarms_say_what_to_do_first(
    variant: str, name: str, more: set[str], synthesized: Path
) -> None:
    template = Template.of(synthesized / f"{variant}.json")
    alarms = {
        a["AlarmName"].removeprefix(f"{name}-"): a["AlarmDescription"]
        for a in template.of_type("AWS::CloudWatch::Alarm")
        if a["AlarmName"].startswith(f"{name}-gateway-")
    }
    assert alarms.keys() == ALARMS | more
    for section, text in alarms.items():
        assert text.endswith(f"Runbook: docs/runbook.md#{section}")
        assert section in sections()


def test_the_dashboard_shows_what_its_senders_get(front: Template) -> None:
    shown = shown_on(front, "Relay")
    assert {f"Gateway{n}" for n in ("Accepted", "Refused", "Unavailable", "Latency")} <= shown


def changed(**options: Any) -> Options:
    given = {field: getattr(FRONT, field) for field in FRONT.__dataclass_fields__}
    return Options(**{**given, **options})


WRONG: dict[str, dict[str, Any]] = {
    "gateway needs gateway_certificate": {"gateway_certificate": None},
    "must be the ARN of a certificate": {"gateway_certificate": "example.com"},
    "gateway_min must be": {"gateway_min": 5},
    "gives the gateway a VPC without a way": {"public_addresses": False},
    "gateway needs gateway_subnets": {"vpc": "vpc-1", "subnets": ("subnet-1",)},
    "needs two subnets": {
        "vpc": "vpc-1",
        "subnets": ("subnet-1",),
        "gateway_subnets": ("subnet-2",),
    },
    "gateway_subnets needs vpc": {"gateway_subnets": ("subnet-1", "subnet-2")},
    "which gateway=function-url does not have": {"gateway": "function-url", "image": None},
    "gateway_certificate needs gateway=fargate": {"gateway": "none", "image": None},
    "gateway must be": {"gateway": "ecs"},
    "a file would be another one": {"settings": {"RELAY_GATEWAY_KEY_STORE": "keys.json"}},
    "RELAY_GATEWAY_KEYS would be in plain text": {
        "settings": {"RELAY_GATEWAY_KEYS": "web=Yk3nQ7aB"}
    },
    "the secrets in RELAY_WEBHOOKS would be in plain text": {
        "settings": {"RELAY_WEBHOOKS": '{"stripe": {"secrets": ["whsec_1"]}}'}
    },
    "RELAY_WEBHOOKS: source": {
        "settings": {"RELAY_WEBHOOKS": '{"unheard": {"secrets": ["arn:"]}}'}
    },
    "to RELAY_PAYLOAD_BUCKETS too": {"settings": {"RELAY_GATEWAY_BUCKET": "large"}},
}


@pytest.mark.parametrize("sentence", list(WRONG))
def test_a_wrong_option_is_refused_with_what_to_do(sentence: str) -> None:
    with pytest.raises(BadOption, match=sentence):
        check(changed(**WRONG[sentence]))


def test_settings_of_a_gateway_need_one() -> None:
    with pytest.raises(BadOption, match="is for the gateway"):
        check(Options(worker="none", settings={"RELAY_GATEWAY_TIMEOUT": "3"}))


def test_a_function_is_never_ended_before_its_answer() -> None:
    slow = {"RELAY_GATEWAY_TIMEOUT": "12"}
    with pytest.raises(BadOption, match="RELAY_GATEWAY_TIMEOUT must be at most 10"):
        check(Options(worker="none", gateway="function-url", settings=slow))
