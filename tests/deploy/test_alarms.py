"""Alarms and dashboard use existing metrics, and the alarms say what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from relay.settings import clocks
from relay.telemetry import metrics
from tests.deploy.template import Template, metrics_of

RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"

EXPECTED = {
    "dlq-not-empty",
    "dlq-age",
    "dead-letter-too-large",
    "heartbeat-missing",
    "halted",
    "stuck",
    "unheard",
    "paused",
    "circuit-open",
    "reject-ratio",
    "queue-age",
    "slow-drain",
    "stalled",
    "slo-burn-rate",
    "behind",
}

GATEWAY = {"gateway-unavailable", "gateway-refused", "gateway-slow"}
"""The alarms of every gateway."""

# From AWS's list of the CloudWatch metrics of SQS.
SQS_METRICS = {
    "ApproximateAgeOfOldestMessage",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesVisible",
    "NumberOfMessagesDeleted",
}


def named(template: Template, name: str) -> dict[str, object]:
    alarms = template.of_type("AWS::CloudWatch::Alarm")
    (found,) = (a for a in alarms if a["AlarmName"] == f"relay-{name}")
    return dict(found)


def sections() -> set[str]:
    headings = re.findall(r"^#+ (.+)$", RUNBOOK.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings}


def alarm_names(template: Template) -> set[str]:
    alarms = {a["AlarmName"] for a in template.of_type("AWS::CloudWatch::Alarm")}
    return alarms | {template.one("AWS::CloudWatch::CompositeAlarm")["AlarmName"]}


def test_all_alarms_exist(default: Template, pull: Template, fargate: Template) -> None:
    for template, name in ((default, "relay"), (pull, "pulled"), (fargate, "tasks")):
        assert alarm_names(template) == {f"{name}-{expected}" for expected in EXPECTED}


def test_a_function_has_no_heartbeat_to_miss_but_errors(function: Template) -> None:
    # It reports only while it is invoked: without messages it is silent.
    expected = EXPECTED - {"heartbeat-missing"} | {"function-errors"}
    assert alarm_names(function) == {f"function-{name}" for name in expected}
    (errors,) = (m for m in function.metrics() if m["namespace"] == "AWS/Lambda")
    assert errors == {
        "namespace": "AWS/Lambda",
        "name": "Errors",
        "dimensions": {"FunctionName": "function"},
    }
    name = function.one("AWS::Lambda::Function")["FunctionName"]
    assert errors["dimensions"]["FunctionName"] == name


def test_a_function_that_fails_because_of_an_outage_does_not_notify(function: Template) -> None:
    # It fails on purpose while the orchestrator is down, so that Lambda receives less.
    alarms = function.of_type("AWS::CloudWatch::Alarm")
    (errors,) = (a for a in alarms if a["AlarmName"] == "function-function-errors")
    assert "AlarmActions" not in errors
    rule = json.dumps(function.one("AWS::CloudWatch::CompositeAlarm")["AlarmRule"])
    assert "FunctionErrors" in rule


def test_every_relay_metric_is_in_the_table_with_its_dimensions(fifo: Template) -> None:
    ours = [m for m in fifo.metrics() if m["namespace"] == metrics.NAMESPACE]
    assert {m["name"] for m in ours} <= {m.name for m in metrics.METRICS}
    for metric in ours:
        assert metric["dimensions"] == {"service": "ordered", "queue": "ordered-events.fifo"}
        assert tuple(sorted(metric["dimensions"])) == tuple(sorted(metrics.DIMENSIONS))


def test_every_other_metric_is_of_the_stacks_queues(fifo: Template) -> None:
    others = [m for m in fifo.metrics() if m["namespace"] != metrics.NAMESPACE]
    assert {m["namespace"] for m in others} == {"AWS/SQS"}
    assert {m["name"] for m in others} <= SQS_METRICS
    queues = {m["dimensions"]["QueueName"] for m in others}
    assert queues == {"ordered-events.fifo", "ordered-events-dlq.fifo"}


@pytest.mark.parametrize(
    ("variant", "name"), [("default", "relay"), ("fargate", "tasks"), ("function", "function")]
)
def test_every_description_says_what_to_do_first_and_names_its_runbook_section(
    variant: str, name: str, synthesized: Path
) -> None:
    template = Template.of(synthesized / f"{variant}.json")
    alarms = [
        *template.of_type("AWS::CloudWatch::Alarm"),
        template.one("AWS::CloudWatch::CompositeAlarm"),
    ]
    for alarm in alarms:
        text = alarm["AlarmDescription"]
        section = alarm["AlarmName"].removeprefix(f"{name}-")
        assert " First: " in text
        assert text.endswith(f"Runbook: docs/runbook.md#{section}")
        assert section in sections()
        assert len(text) <= 1_024


def test_a_hold_does_not_count_as_stalled(default: Template) -> None:
    alarm = default.of_type("AWS::CloudWatch::Alarm")
    (stalled,) = (a for a in alarm if a["AlarmName"] == "relay-stalled")
    (period,) = {q["MetricStat"]["Period"] for q in stalled["Metrics"] if "MetricStat" in q}
    assert period * stalled["EvaluationPeriods"] > clocks.HOLD


def test_dead_letters_alarm_long_before_they_expire(default: Template) -> None:
    alarm = named(default, "dlq-age")
    assert alarm["Threshold"] == clocks.DLQ_RETENTION - 4 * clocks.DAY


def test_missing_data_breaches_for_the_heartbeat_alone(default: Template) -> None:
    silent = {
        a["AlarmName"]
        for a in default.of_type("AWS::CloudWatch::Alarm")
        if a["TreatMissingData"] == "breaching"
    }
    assert silent == {"relay-heartbeat-missing"}


def test_symptoms_notify_once_and_not_while_an_outage_explains_them(default: Template) -> None:
    behind = default.one("AWS::CloudWatch::CompositeAlarm")
    rule = json.dumps(behind["AlarmRule"])
    without_actions = {
        name: r["Properties"]
        for name, r in default.resources.items()
        if r["Type"] == "AWS::CloudWatch::Alarm" and "AlarmActions" not in r["Properties"]
    }
    assert {a["AlarmName"].removeprefix("relay-") for a in without_actions.values()} == {
        "queue-age",
        "slow-drain",
        "stalled",
        "slo-burn-rate",
    }
    assert all(name in rule for name in without_actions)
    (suppressor,) = re.findall(r"\w*Alarms\w+", json.dumps(behind["ActionsSuppressor"]))
    assert default.resources[suppressor]["Properties"]["AlarmName"] == "relay-circuit-open"
    assert behind["AlarmActions"]


def test_an_open_circuit_and_a_halt_are_different_alarms(default: Template) -> None:
    alarm = named(default, "circuit-open")
    assert "state < 3" in json.dumps(alarm["Metrics"])
    (metric,) = metrics_of(named(default, "halted"))
    assert metric["name"] == "Halted"


def test_a_stuck_relay_notifies_by_itself(default: Template) -> None:
    alarm = named(default, "stuck")
    (metric,) = metrics_of(alarm)
    assert (metric["name"], alarm["Threshold"], alarm["EvaluationPeriods"]) == ("Stuck", 1, 1)
    assert alarm["AlarmActions"]


def shown_on(template: Template, namespace: str) -> set[str]:
    body = template.one("AWS::CloudWatch::Dashboard")["DashboardBody"]
    # The body is text in parts, with references in between.
    text = "".join(part for part in body["Fn::Join"][1] if isinstance(part, str))
    return set(re.findall(rf'\["{namespace}","(\w+)"', text))


def test_the_dashboard_shows_the_host(fargate: Template, function: Template) -> None:
    assert shown_on(fargate, "AWS/ECS") == {"CPUUtilization", "MemoryUtilization"}
    assert "Heartbeat" in shown_on(fargate, "Relay")
    assert shown_on(function, "AWS/Lambda") == {
        "Invocations",
        "Errors",
        "Throttles",
        "Duration",
        "ConcurrentExecutions",
    }


def test_the_dashboard_shows_only_metrics_of_the_table(default: Template) -> None:
    shown = shown_on(default, "Relay")
    assert shown
    assert shown <= {m.name for m in metrics.METRICS}


def test_names_in_the_table_are_unique_and_described() -> None:
    names = [m.name for m in metrics.METRICS]
    assert len(names) == len(set(names))
    assert all(m.description.endswith(".") for m in metrics.METRICS)
