"""The cost of a million messages: measured figures times public prices, with the arithmetic.

Prices are those of `relay_cdk.prices`, as in docs/deploy.md.
Costs that all options have in common are left out: producers' sends, traffic, logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relay_cdk.prices import (
    API_DESTINATION_CALL,
    HOURS,
    LAMBDA_GB_SECOND,
    LAMBDA_REQUEST,
    MILLION,
    PIPES_REQUEST,
    SQS_REQUEST,
)
from relay_cdk.prices import T3_SMALL_HOUR as INSTANCE_HOUR

CORES = 2 * 0.2
"""What a t3.small may use permanently: two vCPUs at their baseline of 20 % (EC2 user guide)."""

LAMBDA_GB = 0.25
LAMBDA_SECONDS = 0.05
"""For a batch of ten with one POST: 20 ms of network, and the rest."""
LAMBDA_BATCH = 10

BUSY_REQUESTS = 0.2
"""A receive and a delete per ten messages, the best case of sqsd, Lambda and Pipes."""


def costs(pull: Mapping[str, float], push: Mapping[str, float]) -> list[dict[str, Any]]:
    """Each option with its dollars per million messages and the arithmetic."""
    return [
        _ours("relay poll", pull["requests"], pull["cpu"]),
        _ours("relay serve, behind sqsd", BUSY_REQUESTS, push["cpu"]),
        _lambda(),
        _pipes(),
    ]


def _ours(name: str, requests: float, cpu: float) -> dict[str, Any]:
    sqs = requests * MILLION * SQS_REQUEST
    hours = cpu / 3_600
    instance = hours / CORES * INSTANCE_HOUR
    month = INSTANCE_HOUR * HOURS
    return {
        "option": name,
        "dollars": sqs + instance,
        "arithmetic": (
            f"{requests:.2f} SQS requests x $0.40 = ${sqs:.3f}; {cpu:.0f} µs of CPU x 1 M = "
            f"{hours:.3f} core hours ÷ {CORES:.1f} cores x ${INSTANCE_HOUR} = ${instance:.4f} "
            f"(the instance costs ${month:.2f} a month, busy or idle)"
        ),
    }


def _lambda() -> dict[str, Any]:
    calls = MILLION / LAMBDA_BATCH
    sqs = MILLION * BUSY_REQUESTS * SQS_REQUEST
    invocations = calls * LAMBDA_REQUEST
    duration = calls * LAMBDA_SECONDS * LAMBDA_GB * LAMBDA_GB_SECOND
    return {
        "option": "Lambda, batches of ten",
        "dollars": sqs + invocations + duration,
        "arithmetic": (
            f"{BUSY_REQUESTS} SQS requests x $0.40 = ${sqs:.3f}; 0.1 calls x $0.20 = "
            f"${invocations:.3f}; 0.1 calls x {LAMBDA_SECONDS * 1e3:.0f} ms x {LAMBDA_GB} GB x "
            f"${LAMBDA_GB_SECOND * 1e6:.4f} = ${duration:.3f} (the duration is an assumption)"
        ),
    }


def _pipes() -> dict[str, Any]:
    sqs = MILLION * BUSY_REQUESTS * SQS_REQUEST
    pipes = MILLION * PIPES_REQUEST
    calls = MILLION * API_DESTINATION_CALL
    return {
        "option": "EventBridge Pipes to an API destination",
        "dollars": sqs + pipes + calls,
        "arithmetic": (
            f"{BUSY_REQUESTS} SQS requests x $0.40 = ${sqs:.3f}; 1 event x $0.40 = "
            f"${pipes:.3f}; 1 call x $0.20 = ${calls:.3f}"
        ),
    }
