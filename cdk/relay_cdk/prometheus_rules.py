"""The stack's alarms as rules for Prometheus: the same names, thresholds, meanings and durations.

The rules of the first group read the relay's own `/metrics`. Those of the second read what the
CloudWatch exporter YACE exports about the queues, because a relay knows only what it received.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml  # type: ignore[import-untyped] # it ships no types

from relay.settings import clocks
from relay.telemetry import metrics
from relay.telemetry.metrics import CIRCUIT_STATES, Metric
from relay.telemetry.prometheus import prometheus_name
from relay_cdk import alarm_definitions as alarms
from relay_cdk import gateway_alarms as gateway
from relay_cdk.deployment_metrics import MINUTE, DeploymentMetrics
from relay_cdk.hosts import HOSTS

BY = "by (service, queue)"
STEP = "30s"
"""Resolution of subqueries: how often Prometheus is assumed to scrape, or more often."""

DLQ = 'dimension_QueueName=~".+-dlq([.]fifo)?"'
MAIN = 'dimension_QueueName!~".+-dlq([.]fifo)?"'
SQS = "aws_sqs"
SQS_PERIOD = 300
"""Seconds: the period and length in deploy/prometheus/yace.yaml."""

WARNING, CRITICAL = "warning", "critical"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `minutes` is how long the expression must hold.

    `meaning` and `first_step` replace the alarm's own where those speak of CloudWatch or Elastic
    Beanstalk, and `alert` replaces the name.
    """

    alarm: str
    expression: str
    minutes: int
    severity: str = WARNING
    first_step: str = ""
    meaning: str = ""
    alert: str = ""

    @property
    def name(self) -> str:
        """The alert's name, such as `RelayDlqNotEmpty`."""
        words = "".join(word.capitalize() for word in self.alarm.split("-"))
        return self.alert or f"Relay{words}"


def rules() -> Mapping[str, tuple[Rule, ...]]:
    """The rules by group."""
    return {"relay": (*_relay_rules(),), "relay-queues": (*_queue_rules(),)}


def document() -> str:
    """The rules as a YAML file."""
    found = (*alarms.alarm_definitions(_ANY, HOSTS["fargate"]), *gateway.gateway_alarms(_ANY))
    texts = {one.name: one for one in found}
    groups = [
        {"name": name, "rules": [_entry(rule, texts[rule.alarm]) for rule in members]}
        for name, members in rules().items()
    ]
    return str(yaml.safe_dump({"groups": groups}, sort_keys=False, width=96))


_ANY = DeploymentMetrics(service="any", queue="any", dead_letter_queue="any")
"""Only the alarms' texts are read, in which no name occurs."""


def _entry(rule: Rule, alarm: alarms.AlarmDefinition) -> dict[str, Any]:
    meaning, first_step = rule.meaning or alarm.meaning, rule.first_step or alarm.first_step
    return {
        "alert": rule.name,
        "expr": rule.expression,
        **({"for": f"{rule.minutes}m"} if rule.minutes else {}),
        "labels": {"severity": rule.severity, "kind": "symptom" if alarm.symptom else "cause"},
        "annotations": {
            "summary": meaning,
            "description": alarms.describe(rule.alarm, meaning, first_step),
        },
    }


def increase(metric: Metric, window: str) -> str:
    """The increase of a counter over all its labels and relays, by service and queue.

    A series that begins at 5 has no increase for Prometheus, and a code's series begins with its
    first event. Without the codes there is one series for each relay, which begins at 0.
    """
    series = f"{prometheus_name(metric)}[{window}]"
    if metric.labels:
        labels = ", ".join(metric.labels)
        series = f"sum without ({labels}) ({prometheus_name(metric)})[{window}:{STEP}]"
    return f"sum {BY} (increase({series}))"


def largest(metric: Metric) -> str:
    """The largest value of a gauge, by service and queue."""
    return f"max {BY} ({prometheus_name(metric)})"


def _relay_rules() -> Iterator[Rule]:
    heartbeat = prometheus_name(metrics.HEARTBEAT)
    yield Rule(
        "heartbeat-missing",
        f"(group by (service) (max_over_time({heartbeat}[1h]))"
        f" unless group by (service) (max_over_time({heartbeat}[3m])))"
        f" or absent_over_time({heartbeat}[1h])",
        0,
        CRITICAL,
        "check the pods or tasks of the service, and their last deployment.",
        "No relay is running, or Prometheus cannot reach it. Messages wait in the queue.",
    )
    yield Rule("halted", f"{largest(metrics.HALTED)} >= 1", 1, CRITICAL)
    yield Rule("stuck", f"{largest(metrics.STUCK)} >= 1", 1, CRITICAL)
    yield Rule("unheard", f"{largest(metrics.UNHEARD)} >= 1", 5)
    yield Rule("paused", f"{largest(metrics.PAUSED)} >= 1", 60 * alarms.PAUSED_HOURS)
    state = largest(metrics.CIRCUIT_STATE)
    yield Rule(
        "circuit-open",
        f"{state} >= {CIRCUIT_STATES['half-open']} and {state} < {CIRCUIT_STATES['halted']}",
        3,
    )
    rejected, delivered = increase(metrics.REJECTED, "5m"), increase(metrics.DELIVERED, "5m")
    yield Rule(
        "reject-ratio",
        f"{rejected} / ({rejected} + {delivered}) > {alarms.REJECTED_SHARE:g}"
        f" and {rejected} >= {alarms.MIN_REJECTED}",
        0,
    )
    yield Rule(
        "dlq-not-empty",
        f"{increase(metrics.DEAD_LETTERED, '5m')} > 0",
        0,
        alert="RelayDeadLettered",
    )
    yield Rule("dead-letter-too-large", f"{increase(metrics.DEAD_LETTERS_TOO_LARGE, '1h')} > 0", 0)
    yield from _gateway_rules()
    late, timely = increase(metrics.DELIVERED_LATE, "1h"), increase(metrics.DELIVERED_IN_SLO, "1h")
    burning = round(alarms.BURN_RATE * (1 - metrics.SLO_SHARE), 6)
    yield Rule("slo-burn-rate", f"{late} / ({late} + {timely}) > {burning:g}", 0)


def _gateway_rules() -> Iterator[Rule]:
    unavailable = increase(metrics.GATEWAY_UNAVAILABLE, "1m")
    yield Rule("gateway-unavailable", f"{unavailable} > 0", gateway.UNAVAILABLE_MINUTES, CRITICAL)
    refused = increase(metrics.GATEWAY_REFUSED, "5m")
    yield Rule("gateway-refused", f"{refused} > {gateway.MIN_REFUSED}", 0)
    buckets = f"{prometheus_name(metrics.GATEWAY_LATENCY)}_bucket"
    slowest = f"histogram_quantile(0.99, sum by (service, queue, le) (rate({buckets}[5m])))"
    yield Rule(
        "gateway-slow",
        f"{slowest} > {gateway.SLOW:g}",
        10,
        first_step="check whether SQS is slow, and the processors of the gateway's pods or tasks.",
    )


def _queue_rules() -> Iterator[Rule]:
    visible = f"{SQS}_approximate_number_of_messages_visible"
    age = f"{SQS}_approximate_age_of_oldest_message_maximum"
    yield Rule("dlq-not-empty", f"{visible}_maximum{{{DLQ}}} > 0", 1)
    kept = clocks.DLQ_RETENTION - alarms.DLQ_MARGIN
    yield Rule("dlq-age", f"{age}{{{DLQ}}} > {kept:.0f}", 5, CRITICAL)
    yield Rule("queue-age", f"{age}{{{MAIN}}} > {metrics.SLO_SECONDS:g}", 5)
    deleted = f"{SQS}_number_of_messages_deleted_sum{{{MAIN}}}"
    yield Rule(
        "slow-drain",
        f"{visible}_average{{{MAIN}}} / ({deleted} / {SQS_PERIOD} > 0) > {alarms.DRAIN_LIMIT:.0f}",
        15,
        first_step="check whether the service has its maximum of pods or tasks.",
    )
    period = alarms.STALLED_PERIOD / MINUTE
    done = " + ".join(
        increase(metric, f"{period:g}m").replace(BY, "by (queue)")
        for metric in (metrics.DELIVERED, metrics.DEAD_LETTERED)
    )
    waiting = f"{visible}_minimum{{{MAIN}}} > 0"
    yield Rule(
        "stalled",
        f'label_replace({waiting}, "queue", "$1", "dimension_QueueName", "(.+)")'
        f" unless on (queue) ({done} > 0)",
        int((alarms.STALLED_PERIODS - 1) * period),
        CRITICAL,
        "check `relay health --ready` in a pod or task of the service.",
    )
