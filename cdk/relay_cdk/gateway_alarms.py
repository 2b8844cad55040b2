"""The gateway's alarms: what its senders see, and what its host says."""

from __future__ import annotations

from collections.abc import Iterator

from relay.telemetry import metrics
from relay_cdk.alarm_definitions import BELOW, MISSING_IS_BAD, AlarmDefinition
from relay_cdk.deployment_metrics import MINUTE, DeploymentMetrics
from relay_cdk.hosts import Gateway

MIN_REFUSED = 50
"""Requests in five minutes. Whatever is on the internet gets some with wrong keys."""

SLOW = 1.0
"""Seconds of the slowest hundredth of the requests. The least patient SDK gives up after 1.7."""

UNAVAILABLE_MINUTES = 3
"""An SDK gives up after some seconds, but its sender may try again."""


def gateway_alarms(gateway: DeploymentMetrics) -> Iterator[AlarmDefinition]:
    """The alarms on what the gateway itself reports."""
    yield AlarmDefinition(
        name="gateway-unavailable",
        metric=gateway.relay(metrics.GATEWAY_UNAVAILABLE, "Sum"),
        threshold=0,
        periods=UNAVAILABLE_MINUTES,
        meaning="The gateway answers 503. Events are lost once their senders give up.",
        first_step="read the code of the refusals in the gateway's log.",
    )
    yield AlarmDefinition(
        name="gateway-refused",
        metric=gateway.relay(metrics.GATEWAY_REFUSED, "Sum", 5 * MINUTE),
        threshold=MIN_REFUSED,
        periods=1,
        meaning="The gateway refuses many requests. Their events are in no queue.",
        first_step="read in the gateway's log which key or webhook source is refused, and why.",
    )
    yield AlarmDefinition(
        name="gateway-slow",
        metric=gateway.relay(metrics.GATEWAY_LATENCY, "p99", 5 * MINUTE),
        threshold=SLOW,
        periods=2,
        meaning=f"A hundredth of the gateway's requests take more than {SLOW:g} s.",
        first_step="check whether SQS is slow, and whether the gateway has its maximum of tasks.",
    )


def gateway_host_alarms(
    gateway: DeploymentMetrics, host: Gateway, balancer: str | None
) -> Iterator[AlarmDefinition]:
    """The alarms on the gateway's host. `balancer` is the load balancer's name in metrics."""
    if host == "function-url":
        yield _throttled(gateway)
        yield _failed(gateway)
        return
    yield AlarmDefinition(
        name="gateway-down",
        metric=gateway.relay(metrics.HEARTBEAT, "Sum"),
        threshold=1,
        comparison=BELOW,
        missing_data=MISSING_IS_BAD,
        periods=3,
        meaning="No gateway is running, or none can reach CloudWatch. Events are not accepted.",
        first_step="check the last deployment and why the last task stopped.",
    )
    if balancer:
        yield AlarmDefinition(
            name="gateway-balancer-errors",
            metric=gateway.balancer(balancer, "HTTPCode_ELB_5XX_Count", "Sum"),
            threshold=0,
            periods=3,
            meaning="The load balancer itself answers 5xx: no gateway is there or answers.",
            first_step="check the health of the targets.",
        )


def _throttled(gateway: DeploymentMetrics) -> AlarmDefinition:
    return AlarmDefinition(
        name="gateway-throttled",
        metric=gateway.function("Throttles", "Sum"),
        threshold=0,
        periods=1,
        meaning="Lambda answers 429 in place of the gateway, after which some SDKs do not repeat.",
        first_step="raise the account's limit of concurrent executions, or reserve some.",
    )


def _failed(gateway: DeploymentMetrics) -> AlarmDefinition:
    return AlarmDefinition(
        name="gateway-function-errors",
        metric=gateway.function("Errors", "Sum"),
        threshold=0,
        periods=1,
        meaning="The gateway's function ended without an answer, and Lambda answered instead.",
        first_step="read the last error in the function's log: memory and time are the usual ones.",
    )
