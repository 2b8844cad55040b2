"""Alarms and dashboard use existing metrics, and the alarms say what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

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
    "paused",
    "circuit-open",
    "reject-ratio",
    "queue-age",
    "slow-drain",
    "stalled",
    "slo-burn-rate",
    "behind",
}

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


def test_all_alarms_exist(default: Template, pull: Template) -> None:
    for template, name in ((default, "relay"), (pull, "pulled")):
        alarms = {a["AlarmName"] for a in template.of_type("AWS::CloudWatch::Alarm")}
        alarms.add(template.one("AWS::CloudWatch::CompositeAlarm")["AlarmName"])
        assert alarms == {f"{name}-{expected}" for expected in EXPECTED}


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


def test_every_description_says_what_to_do_first_and_names_its_runbook_section(
    default: Template,
) -> None:
    alarms = [
        *default.of_type("AWS::CloudWatch::Alarm"),
        default.one("AWS::CloudWatch::CompositeAlarm"),
    ]
    for alarm in alarms:
        text = alarm["AlarmDescription"]
        section = alarm["AlarmName"].removeprefix("relay-")
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


def test_the_dashboard_shows_only_metrics_of_the_table(default: Template) -> None:
    body = default.one("AWS::CloudWatch::Dashboard")["DashboardBody"]
    # The body is text in parts, with references in between.
    text = "".join(part for part in body["Fn::Join"][1] if isinstance(part, str))
    shown = set(re.findall(r'\["Relay","(\w+)"', text))
    assert shown
    assert shown <= {m.name for m in metrics.METRICS}


def test_names_in_the_table_are_unique_and_described() -> None:
    names = [m.name for m in metrics.METRICS]
    assert len(names) == len(set(names))
    assert all(m.description.endswith(".") for m in metrics.METRICS)
