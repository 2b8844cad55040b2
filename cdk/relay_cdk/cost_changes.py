"""What a deviation from the defaults of the stack adds to its costs, or saves."""

from __future__ import annotations

from collections.abc import Iterator

from relay_cdk import prices as p
from relay_cdk.costs import (
    ACCESS_LOG_BYTES,
    MESSAGE_BYTES,
    Line,
    audit_log,
    gigabytes,
    instances,
    ledger_cost,
    messages,
    price_of_a_million,
    sqs_requests,
)
from relay_cdk.network import ZONES


def changes() -> Iterator[Line]:
    """What each adds to the sum, or saves."""
    yield Line(
        "`-c ledger=false`",
        "only the orchestrator remembers events, Inngest for a day",
        lambda r: -ledger_cost(r),
    )
    yield Line(
        "`RELAY_LOG_MESSAGES=problems`",
        "no line for a message without a problem",
        lambda r: -audit_log(r),
    )
    yield Line(
        "producers send batches of ten",
        "a tenth of the requests, if ten messages fit into 64 KB",
        lambda r: -0.9 * messages(r) * p.SQS_REQUEST,
    )
    yield Line(
        "`-c fifo=true`, with pull mode",
        f"{price_of_a_million(p.SQS_FIFO_REQUEST)} requests; instances as above",
        lambda r: messages(r) * (1 + sqs_requests(r)) * (p.SQS_FIFO_REQUEST - p.SQS_REQUEST),
    )
    yield Line(
        "`-c key=create`",
        f"${p.KEY:.2f}, and ${p.KEY_REQUEST * 10_000:.2f} per 10,000 requests, which are few: SQS"
        " reuses data keys for an hour",
        lambda _: p.KEY,
    )
    yield Line(
        "a self-hosted server",
        f"a second secret, ${p.SECRET:.2f}; in the same network there is no traffic to the"
        " internet either",
        lambda r: p.SECRET - gigabytes(r, MESSAGE_BYTES) * p.INTERNET_GB,
    )
    yield Line(
        "private subnets",
        f"a NAT gateway in each of {ZONES} zones, ${p.NAT_HOUR:g} per hour and ${p.NAT_GB:g} per GB"
        " to the orchestrator and from SQS; no public addresses",
        _private_subnets,
    )
    yield Line(
        "private subnets with endpoints",
        f"the same, with an endpoint for SQS in each zone, ${p.ENDPOINT_HOUR:g} per hour and"
        f" ${p.ENDPOINT_GB:g} per GB, instead of the gateways' traffic from SQS",
        lambda r: (
            _private_subnets(r)
            + ZONES * p.HOURS * p.ENDPOINT_HOUR
            + gigabytes(r, MESSAGE_BYTES) * (p.ENDPOINT_GB - p.NAT_GB)
        ),
    )
    yield Line(
        "nginx's access log is uploaded",
        f"a line of {ACCESS_LOG_BYTES} B for each message, ${p.LOGS_GB:.2f} per GB; the hook"
        " `20-access-log.sh` prevents it",
        lambda r: gigabytes(r, ACCESS_LOG_BYTES) * p.LOGS_GB,
    )


def _private_subnets(rate: float) -> float:
    """Each message comes in from SQS and goes out to the orchestrator."""
    gateways = ZONES * p.HOURS * p.NAT_HOUR + 2 * gigabytes(rate, MESSAGE_BYTES) * p.NAT_GB
    return gateways - instances(rate) * p.HOURS * p.PUBLIC_ADDRESS_HOUR
