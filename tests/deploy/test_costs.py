"""The costs in the documentation are computed from what the code and the template really do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relay.delivery.ledger.table import Item
from relay.model.outcome import Delivered
from relay_cdk import costs, gateway_costs, host_costs, prices
from relay_cdk.cost_tables import pages, with_block
from relay_cdk.network import ENDPOINTS, ZONES
from tests.delivery.ledger.scripted import MemoryTable, Orchestrator, RelayWithLedger, event
from tests.deploy.template import Template
from tests.forwarding.virtual_time import run

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_the_pages_are_current(page: Path) -> None:
    text = page.read_text()
    assert text == with_block(text, pages()[page]), "run python -m relay_cdk.cost_tables"


def test_the_alarms_are_those_of_the_template(default: Template) -> None:
    alarms = default.of_type("AWS::CloudWatch::Alarm")
    assert (len(alarms), len(list(default.metrics()))) == (costs.ALARMS, costs.ALARM_METRICS)
    assert len(default.of_type("AWS::CloudWatch::CompositeAlarm")) == 1
    assert len(default.of_type("AWS::CloudWatch::Dashboard")) == 1
    assert len(default.of_type("AWS::SecretsManager::Secret")) == 1


def test_the_instances_are_those_of_the_template(default: Template) -> None:
    options = default.options()
    assert options["aws:ec2:instances", "InstanceTypes"] == "t3.small"
    assert costs.instances(1) == int(options["aws:autoscaling:asg", "MinSize"])
    assert costs.instances(1_000) == int(options["aws:autoscaling:asg", "MaxSize"])


def test_tasks_and_function_are_those_of_the_templates(
    fargate: Template, function: Template
) -> None:
    task = fargate.one("AWS::ECS::TaskDefinition")
    options = host_costs.OPTIONS
    assert (task["Cpu"], task["Memory"]) == (f"{options.task_cpu}", f"{options.task_memory}")
    limits = fargate.one("AWS::ApplicationAutoScaling::ScalableTarget")
    assert host_costs.tasks(1) == limits["MinCapacity"]
    assert host_costs.tasks(1_000) <= limits["MaxCapacity"]
    assert function.one("AWS::Lambda::Function")["MemorySize"] == options.function_memory
    mapping = function.one("AWS::Lambda::EventSourceMapping")
    assert mapping["BatchSize"] == host_costs.BATCH


def test_a_private_network_has_as_many_endpoints_as_are_counted(synthesized: Path) -> None:
    template = Template.of(synthesized / "fargate-private.json")
    endpoints = template.of_type("AWS::EC2::VPCEndpoint")
    interfaces = [e for e in endpoints if e["VpcEndpointType"] == "Interface"]
    # Its settings need two more.
    assert len(interfaces) == len(ENDPOINTS) + 2
    assert {len(e["SubnetIds"]) for e in interfaces} == {ZONES}


def test_without_machines_the_other_hosts_share_everything_else() -> None:
    for rate in costs.RATES:
        own = sum(line.cost(rate) for line in costs.instance_lines())
        reports = costs.reports(rate) * prices.METRIC_REQUEST
        assert host_costs.without_machines(rate) == pytest.approx(costs.total(rate) - own - reports)


@pytest.mark.parametrize("variant", ["gateway-fargate", "gateway-function"])
def test_a_gateway_has_as_many_alarms_as_are_counted(variant: str, synthesized: Path) -> None:
    template = Template.of(synthesized / f"{variant}.json")
    alarms = template.of_type("AWS::CloudWatch::Alarm")
    own = [alarm for alarm in alarms if "-gateway-" in alarm["AlarmName"]]
    assert len(own) == gateway_costs.ALARM_METRICS
    # Each reads one metric.
    assert not any("Metrics" in alarm for alarm in own)


def test_the_scaling_policy_has_as_many_metrics_as_are_counted() -> None:
    policy = (ROOT / ".ebextensions" / "40-scaling.config").read_text()
    # Target tracking creates two alarms, one for each direction.
    assert 2 * policy.count("MetricStat:") == costs.SCALING_ALARM_METRICS


def test_the_audit_log_is_kept_for_as_long_as_is_counted(default: Template) -> None:
    days = default.one("AWS::Logs::LogGroup")["RetentionInDays"]
    assert days == costs.AUDIT_MONTHS * 30


def test_the_ledger_reads_and_writes_as_often_as_is_counted_and_as_much() -> None:
    async def main() -> MemoryTable:
        table, orchestrator = MemoryTable(), Orchestrator()
        reference = "01HQ5V5Z6M3GQ0V6W7X8Y9Z0AB"
        orchestrator.answer = lambda _events: [Delivered(reference)]
        await RelayWithLedger(table, orchestrator).ledger.submit(event())
        return table

    table = run(main)
    assert sum(map(len, table.reads)) == costs.LEDGER_READS
    assert sum(map(len, table.writes)) == costs.LEDGER_WRITES
    sizes = [billed(item) for item in table.items.values()]
    assert sum(sizes) / len(sizes) == pytest.approx(costs.LEDGER_ITEM_BYTES, abs=5)


def billed(item: Item) -> int:
    """The bytes that DynamoDB stores: names and values, a number in half a byte a digit."""
    return prices.DYNAMODB_ITEM_OVERHEAD + sum(
        len(name) + (len(value) if isinstance(value, str) else NUMBER)
        for name, value in item.items()
    )


NUMBER = 8
"""Bytes of a time in seconds with its fractions."""


def test_the_costs_of_a_million_on_each_host_are_those_of_the_tables() -> None:
    rows = (ROOT / "docs" / "hosts.md").read_text()
    fargate, function = host_costs.host_sums()
    for rate in costs.RATES:
        million = costs.messages(rate) / prices.MILLION
        sums = (costs.total(rate), fargate.cost(rate), function.cost(rate))
        on_aws = [f"${cost / million:.2f}" for cost in sums]
        row = " | ".join((on_aws[0], "your machine", on_aws[1], "your cluster", on_aws[2]))
        assert f"| {row} |" in rows


def test_prices_elsewhere_are_those_of_the_table() -> None:
    logs = (ROOT / "docs" / "logs.md").read_text()
    assert f"about ${prices.LOGS_GB:.2f} a GB" in logs
    benchmark = (ROOT / "docs" / "performance.md").read_text()
    assert set(re.findall(r"requests x \$([0-9.]+)", benchmark)) == {
        f"{prices.SQS_REQUEST * prices.MILLION:.2f}"
    }
