"""What the relay costs in a month on Fargate and Lambda, which have no instances."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from relay.telemetry.metrics import FLUSH_SECONDS
from relay_cdk import prices as p
from relay_cdk.costs import (
    LOG_BYTES,
    MESSAGE_BYTES,
    Line,
    gigabytes,
    instance_lines,
    messages,
    reports,
    total,
)
from relay_cdk.network import ENDPOINTS, ZONES
from relay_cdk.options import Options

OPTIONS = Options()

TASK_RATE = 500
"""Messages a second that a task is meant for: half of what a quarter of a processor can do, if a
message takes 0.25 ms of it, twice the measured figure without TLS."""

INVOCATION_SECONDS = 0.1
"""The duration of an invocation: one request to the orchestrator. An assumption."""

BATCH = 10
"""Messages of an invocation at a high rate."""

POLLS = 15
"""Receives a minute with which Lambda polls an empty queue: five long polls of 20 s at a time."""


def tasks(rate: float) -> int:
    """Tasks at a rate; at least as many as the options say."""
    return max(OPTIONS.min_instances, math.ceil(rate / TASK_RATE))


def invocations(rate: float) -> float:
    """Invocations in a month: a message each at a low rate, a batch at a high one."""
    return messages(rate) / (1 if rate <= 1 else BATCH)


def fargate_lines() -> Iterator[Line]:
    """What takes the place of the instances on Fargate."""
    cpu, memory = OPTIONS.task_cpu / 1_024, OPTIONS.task_memory / 1_024
    hour = cpu * p.FARGATE_CPU_HOUR + memory * p.FARGATE_GB_HOUR
    report = p.METRIC_REQUEST * p.MONTH / FLUSH_SECONDS
    yield Line(
        "Fargate: tasks",
        f"{cpu:g} vCPU x ${p.FARGATE_CPU_HOUR:g} + {memory:g} GB x ${p.FARGATE_GB_HOUR:g} per hour;"
        f" 2 each (**assumption**: {TASK_RATE}/s a task)",
        lambda r: tasks(r) * p.HOURS * hour,
    )
    yield Line(
        "Fargate: addresses and reports",
        f"a public address, ${p.PUBLIC_ADDRESS_HOUR:g} per hour, and a PutMetricData per minute,"
        f" ${report:.2f}, for each task",
        lambda r: tasks(r) * (p.HOURS * p.PUBLIC_ADDRESS_HOUR + report),
    )


def lambda_lines() -> Iterator[Line]:
    """What takes the place of the instances on Lambda. Metrics are lines of its log."""
    memory = OPTIONS.function_memory / 1_024
    yield Line(
        "Lambda: invocations",
        f"${p.LAMBDA_REQUEST * p.MILLION:.2f} per million, with 1, {BATCH} and {BATCH} messages",
        lambda r: invocations(r) * p.LAMBDA_REQUEST,
    )
    yield Line(
        "Lambda: duration",
        f"{memory:g} GB x {INVOCATION_SECONDS:g} s (**assumption**),"
        f" ${p.LAMBDA_GB_SECOND * p.MILLION:.2f} per million GB seconds, arm64",
        lambda r: invocations(r) * INVOCATION_SECONDS * memory * p.LAMBDA_GB_SECOND,
    )
    yield Line(
        "Lambda: receives of an empty queue",
        f"{POLLS} per minute",
        lambda r: POLLS * p.MONTH / 60 * p.SQS_REQUEST if r <= 1 else 0.0,
    )


def without_machines(rate: float) -> float:
    """The default stack without its instances and their reports."""
    machines = sum(line.cost(rate) for line in instance_lines())
    return total(rate) - machines - reports(rate) * p.METRIC_REQUEST


def host_sums() -> Iterator[Line]:
    """What the whole stack costs on these hosts."""
    yield _whole_stack("Fargate", list(fargate_lines()))
    yield _whole_stack("Lambda", list(lambda_lines()))


def _whole_stack(name: str, own: Sequence[Line]) -> Line:
    return Line(
        f"**the whole stack on {name}**",
        "its lines, and the first table without instances, disks, addresses and reports",
        lambda r: without_machines(r) + sum(line.cost(r) for line in own),
    )


def host_changes() -> Iterator[Line]:
    """What a deviation from the defaults adds on Fargate, or saves."""
    arm = OPTIONS.task_cpu / 1_024 * (p.FARGATE_CPU_HOUR - p.FARGATE_ARM_CPU_HOUR)
    arm += OPTIONS.task_memory / 1_024 * (p.FARGATE_GB_HOUR - p.FARGATE_ARM_GB_HOUR)
    yield Line(
        "Fargate with `-c architecture=arm64`",
        f"${p.FARGATE_ARM_CPU_HOUR:g} and ${p.FARGATE_ARM_GB_HOUR:g} per hour",
        lambda r: -tasks(r) * p.HOURS * arm,
    )
    yield Line(
        "Fargate with `-c public_addresses=false`",
        f"{len(ENDPOINTS)} endpoints in {ZONES} zones x ${p.ENDPOINT_HOUR:g} per hour, and"
        f" ${p.ENDPOINT_GB:g} per GB of messages and log; no public addresses",
        lambda r: (
            len(ENDPOINTS) * ZONES * p.HOURS * p.ENDPOINT_HOUR
            + gigabytes(r, MESSAGE_BYTES + LOG_BYTES) * p.ENDPOINT_GB
            - tasks(r) * p.HOURS * p.PUBLIC_ADDRESS_HOUR
        ),
    )
