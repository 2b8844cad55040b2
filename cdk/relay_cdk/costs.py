"""What the default stack costs in a month at three rates, line by line.

A test compares the counts of requests with what the ledger and the template do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from relay.settings import clocks
from relay.telemetry.metrics import FLUSH_SECONDS, METRICS
from relay_cdk import prices as p

RATES = (1, 100, 1_000)
"""Messages a second, each with one event."""

MESSAGE_BYTES = 2_000
LOG_BYTES = 600
"""Of a message's line in the audit log."""
ACCESS_LOG_BYTES = 200
"""Of a request's line in nginx's access log."""

LEDGER_WRITES = 2
LEDGER_READS = 2
"""For each event: `sending` and `delivered` are items of their own, each read and each written."""
LEDGER_ITEM_BYTES = 255
"""Their mean size, with Inngest's id in `delivered`, and with what DynamoDB adds to an item."""

ALARMS = 14
ALARM_METRICS = 19
SCALING_ALARM_METRICS = 10
"""Of the two alarms that the scaling policy creates."""

# The gateway's are sent by a gateway only.
_OF_A_RELAY = [m for m in METRICS if not (m.sparse or m.name.startswith("Gateway"))]

INSTANCE_RATE = 250
"""Messages a second that an instance is meant for: half of 50 connections, each busy for 0.1 s."""
DISK_GB = 8
AUDIT_MONTHS = 3
COMPRESSION = 0.2
"""The share of its size that CloudWatch stores of a log. An assumption."""

Cost = Callable[[float], float]
"""Dollars in a month at a rate."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table: what it is for, how it is computed, and its cost."""

    title: str
    calculation: str
    cost: Cost


def messages(rate: float) -> float:
    """Messages in a month."""
    return rate * p.MONTH


def instances(rate: float) -> int:
    """Instances at a rate; at least two, so that the loss of one is survived."""
    return max(2, math.ceil(rate / INSTANCE_RATE))


def gigabytes(rate: float, size: float) -> float:
    """Gigabytes in a month of something that each message has."""
    return messages(rate) * size / p.GB


def sqs_requests(rate: float) -> float:
    """Receives and deletes for each message: alone at a low rate, in batches of ten at a high."""
    return 2.0 if rate <= 1 else 0.2


def ledger_gigabytes(rate: float) -> float:
    """What the ledger holds at any time: two items for each event, until they expire."""
    kept = clocks.QUEUE_RETENTION + clocks.DLQ_RETENTION
    return rate * kept * LEDGER_WRITES * LEDGER_ITEM_BYTES / p.GB


def reports(rate: float) -> float:
    """PutMetricData calls."""
    return instances(rate) * p.MONTH / FLUSH_SECONDS


def lines() -> Iterator[Line]:
    """The default stack, line by line."""
    yield Line(
        "SQS, send",
        f"1 request x {price_of_a_million(p.SQS_REQUEST)}",
        lambda r: messages(r) * p.SQS_REQUEST,
    )
    yield Line(
        "SQS, receive and delete",
        "**assumption**: sqsd receives up to ten and batches deletes for 2 s, as 2.x did;"
        " 2 requests per message at low traffic, 0.2 at high",
        lambda r: messages(r) * sqs_requests(r) * p.SQS_REQUEST,
    )
    yield from instance_lines()
    yield Line(
        "traffic to the orchestrator",
        f"2 KB per event, ${p.INTERNET_GB:g} per GB: {_sizes(MESSAGE_BYTES)} GB",
        lambda r: gigabytes(r, MESSAGE_BYTES) * p.INTERNET_GB,
    )
    yield from _ledger_lines()
    yield Line(
        "audit log",
        f"{LOG_BYTES} B per message, ${p.LOGS_GB:.2f} per GB: {_sizes(LOG_BYTES)} GB;"
        f" stored for {AUDIT_MONTHS} months, a fifth of that x ${p.LOGS_STORED_GB_MONTH:g}",
        audit_log,
    )
    yield from _fixed_lines()


def instance_lines() -> Iterator[Line]:
    """The machines, for which another host has something else."""
    yield Line(
        "instances",
        f"t3.small, ${p.T3_SMALL_HOUR:g} per hour; 2, 2, and 4"
        f" (50 connections ÷ 0.1 s = 500/s each, half of it used)",
        lambda r: instances(r) * p.HOURS * p.T3_SMALL_HOUR,
    )
    yield Line(
        "their disks",
        f"{DISK_GB} GB gp3 x ${p.GP3_GB_MONTH:g}",
        lambda r: instances(r) * DISK_GB * p.GP3_GB_MONTH,
    )
    yield Line(
        "public addresses",
        f"${p.PUBLIC_ADDRESS_HOUR:g} per hour each",
        lambda r: instances(r) * p.HOURS * p.PUBLIC_ADDRESS_HOUR,
    )


def _ledger_lines() -> Iterator[Line]:
    yield Line(
        "ledger, requests",
        f"{LEDGER_WRITES} writes x {price_of_a_million(p.DYNAMODB_WRITE)}"
        f" + {LEDGER_READS} reads x {price_of_a_million(p.DYNAMODB_READ)}",
        lambda r: messages(r) * (LEDGER_WRITES * p.DYNAMODB_WRITE + LEDGER_READS * p.DYNAMODB_READ),
    )
    yield Line(
        "ledger, storage",
        f"2 items x {LEDGER_ITEM_BYTES} B for 27 days, ${p.DYNAMODB_GB_MONTH:.2f}"
        f" + ${p.DYNAMODB_RECOVERY_GB_MONTH:.2f} for recovery per GB",
        lambda r: ledger_gigabytes(r) * (p.DYNAMODB_GB_MONTH + p.DYNAMODB_RECOVERY_GB_MONTH),
    )


def _fixed_lines() -> Iterator[Line]:
    yield Line(
        "metrics",
        f"{len(_OF_A_RELAY)} x ${p.METRIC:.2f}, and a PutMetricData per minute and instance,"
        f" ${p.METRIC_REQUEST * p.MONTH / FLUSH_SECONDS:.2f} each",
        lambda r: len(_OF_A_RELAY) * p.METRIC + reports(r) * p.METRIC_REQUEST,
    )
    yield Line(
        "alarms",
        f"{ALARM_METRICS} metrics in {ALARMS} alarms and {SCALING_ALARM_METRICS} in the scaling"
        f" policy's two x ${p.ALARM_METRIC:.2f}, one composite ${p.COMPOSITE_ALARM:.2f}",
        lambda _: (ALARM_METRICS + SCALING_ALARM_METRICS) * p.ALARM_METRIC + p.COMPOSITE_ALARM,
    )
    yield Line(
        "dashboard, secret",
        f"${p.DASHBOARD:.2f} + ${p.SECRET:.2f}, and its look-ups every five minutes",
        lambda r: p.DASHBOARD + p.SECRET + instances(r) * p.MONTH / 300 * p.SECRET_REQUEST,
    )


def audit_log(rate: float) -> float:
    """The audit log's upload and storage."""
    size = gigabytes(rate, LOG_BYTES)
    return size * (p.LOGS_GB + AUDIT_MONTHS * COMPRESSION * p.LOGS_STORED_GB_MONTH)


def ledger_cost(rate: float) -> float:
    """The ledger's requests and storage."""
    return sum(line.cost(rate) for line in _ledger_lines())


def total(rate: float) -> float:
    """The default stack."""
    return sum(line.cost(rate) for line in lines())


def fixed() -> float:
    """What does not depend on the messages, as long as two instances suffice."""
    return sum(line.cost(0) for line in lines())


def price_of_a_million(price: float) -> str:
    """The text of a price for a million, with two decimals or more."""
    text = f"{price * p.MILLION:.3f}".rstrip("0")
    return f"${text}{'0' * max(0, 2 - len(text.partition('.')[2]))} per million"


def _sizes(size: float) -> str:
    return ", ".join(
        f"{gigabytes(rate, size):,.1f}" if rate == 1 else f"{gigabytes(rate, size):,.0f}"
        for rate in RATES
    )
