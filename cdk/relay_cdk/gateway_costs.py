"""What the gateway adds to the costs in a month."""

from __future__ import annotations

import math
from collections.abc import Iterator

from relay.telemetry.metrics import FLUSH_SECONDS, METRICS
from relay_cdk import prices as p
from relay_cdk.costs import MESSAGE_BYTES, Line, messages
from relay_cdk.options import Options

OPTIONS = Options()

GATEWAY_TASK_RATE = 500
"""Requests a second that a task is meant for, each with one event. An assumption."""

SECONDS = 0.03
"""The duration of an invocation: one request to SQS. An assumption."""

UNIT_GB_HOUR = 1.0
"""Gigabytes in an hour for which a load balancer capacity unit stands."""

ALARM_METRICS = 5
"""On either host."""


def metric_count() -> int:
    """The metrics that a gateway reports: its own, and those that are reported as 0 too."""
    return sum(not metric.sparse or metric.name.startswith("Gateway") for metric in METRICS)


def gateway_tasks(rate: float) -> int:
    """Tasks at a rate; at least as many as the options say."""
    return max(OPTIONS.gateway_min, math.ceil(rate / GATEWAY_TASK_RATE))


def units(rate: float) -> float:
    """Load balancer capacity units: of their four dimensions, bytes are what events use most."""
    return rate * 3_600 * MESSAGE_BYTES / p.GB / UNIT_GB_HOUR


def gateway_lines() -> Iterator[Line]:
    """What `-c gateway` adds. Sending costs no more than it does without a gateway."""
    cpu, memory = OPTIONS.task_cpu / 1_024, OPTIONS.task_memory / 1_024
    hour = cpu * p.FARGATE_CPU_HOUR + memory * p.FARGATE_GB_HOUR + p.PUBLIC_ADDRESS_HOUR
    report = p.METRIC_REQUEST * p.MONTH / FLUSH_SECONDS
    yield Line(
        "`-c gateway=fargate`: tasks",
        f"{cpu:g} vCPU and {memory:g} GB as above, an address and reports each; 2 each"
        f" (**assumption**: {GATEWAY_TASK_RATE}/s a task)",
        lambda r: gateway_tasks(r) * (p.HOURS * hour + report),
    )
    yield Line(
        "its load balancer",
        f"${p.BALANCER_HOUR:g} per hour, ${p.BALANCER_UNIT_HOUR:g} per hour and capacity unit of"
        " 1 GB, and two addresses",
        lambda r: (
            p.HOURS
            * (p.BALANCER_HOUR + units(r) * p.BALANCER_UNIT_HOUR + 2 * p.PUBLIC_ADDRESS_HOUR)
        ),
    )
    yield Line(
        "its metrics, alarms and secret",
        f"{metric_count()} x ${p.METRIC:.2f} + {ALARM_METRICS} x ${p.ALARM_METRIC:.2f}"
        f" + ${p.SECRET:.2f}",
        lambda _: _telemetry(),
    )
    gigabytes = OPTIONS.function_memory / 1_024
    yield Line(
        "`-c gateway=function-url`",
        f"${p.LAMBDA_REQUEST * p.MILLION:.2f} per million requests of one event,"
        f" {gigabytes:g} GB x {SECONDS:g} s (**assumption**); metrics, alarms and secret as above",
        lambda r: (
            messages(r) * (p.LAMBDA_REQUEST + SECONDS * gigabytes * p.LAMBDA_GB_SECOND)
            + _telemetry()
        ),
    )


def _telemetry() -> float:
    return metric_count() * p.METRIC + ALARM_METRICS * p.ALARM_METRIC + p.SECRET
