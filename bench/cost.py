"""What a million messages cost: measured figures times public prices, the arithmetic shown.

Prices are AWS's list prices for us-east-1 in US dollars. Each line states what it assumes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MILLION = 1_000_000

SQS_REQUEST = 0.40 / MILLION
"""Standard queues, each request of up to 64 KB (SQS pricing)."""

INSTANCE_HOUR = 0.0084
"""t4g.small, on demand; two vCPUs (EC2 pricing)."""
CORES = 2
BUSY = 0.4
"""The share of the instance's CPU that is meant to be used: peaks and neighbours need the rest."""

LAMBDA_REQUEST = 0.20 / MILLION
LAMBDA_GB_SECOND = 0.0000133334
"""On arm64 (Lambda pricing)."""
LAMBDA_GB = 0.25
LAMBDA_SECONDS = 0.05
"""A batch of ten, one POST: 20 ms of network and as much again for the rest."""
LAMBDA_BATCH = 10

PIPES_REQUEST = 0.40 / MILLION
API_DESTINATION_CALL = 0.20 / MILLION
"""EventBridge Pipes counts each event of up to 64 KB; its target calls the API for each."""

PUSH_REQUESTS = 1.1
"""sqsd receives in tens and deletes one by one; it does so outside of the relay."""


def costs(pull: Mapping[str, float], push: Mapping[str, float]) -> list[dict[str, Any]]:
    """A line for each way: dollars a million messages, and how they come about."""
    return [
        _ours("relay poll", pull["requests"], pull["cpu"]),
        _ours("relay serve, with sqsd", PUSH_REQUESTS, push["cpu"]),
        _lambda(),
        _pipes(),
    ]


def _ours(name: str, requests: float, cpu: float) -> dict[str, Any]:
    sqs = requests * MILLION * SQS_REQUEST
    hours = cpu / 1e6 * MILLION / 3_600
    instance = hours / (CORES * BUSY) * INSTANCE_HOUR
    return {
        "way": name,
        "dollars": sqs + instance,
        "how": (
            f"{requests:.2f} SQS requests x $0.40/M = ${sqs:.3f}; {cpu:.0f} us of CPU = "
            f"{hours:.3f} core hours / ({CORES} cores x {BUSY:.0%}) x ${INSTANCE_HOUR}/h = "
            f"${instance:.4f} (an instance that idles costs the same: ${INSTANCE_HOUR * 730:.2f} "
            "a month)"
        ),
    }


def _lambda() -> dict[str, Any]:
    calls = MILLION / LAMBDA_BATCH
    sqs = calls * 2 * SQS_REQUEST
    asked = calls * LAMBDA_REQUEST
    ran = calls * LAMBDA_SECONDS * LAMBDA_GB * LAMBDA_GB_SECOND
    return {
        "way": "Lambda, batches of ten",
        "dollars": sqs + asked + ran,
        "how": (
            f"0.2 SQS requests x $0.40/M = ${sqs:.3f}; {calls:,.0f} calls x $0.20/M = "
            f"${asked:.3f}; x {LAMBDA_SECONDS * 1e3:.0f} ms x {LAMBDA_GB} GB x "
            f"${LAMBDA_GB_SECOND * 1e6:.4f}/M GB-s = ${ran:.3f}"
        ),
    }


def _pipes() -> dict[str, Any]:
    sqs = MILLION / 10 * 2 * SQS_REQUEST
    pipes = MILLION * PIPES_REQUEST
    calls = MILLION * API_DESTINATION_CALL
    return {
        "way": "EventBridge Pipes to an API destination",
        "dollars": sqs + pipes + calls,
        "how": (
            f"0.2 SQS requests x $0.40/M = ${sqs:.3f}; 1 M events x $0.40/M = ${pipes:.3f}; "
            f"1 M calls x $0.20/M = ${calls:.3f}"
        ),
    }
