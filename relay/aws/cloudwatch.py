"""CloudWatch: metrics go there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from relay.aws.errors import translate
from relay.aws.session import Session

PERMISSION = "cloudwatch:PutMetricData"


async def put_metrics(session: Session, namespace: str, entries: Sequence[dict[str, Any]]) -> None:
    """One PutMetricData call.

    Raises:
        QueueError: CloudWatch did not take them.
    """
    try:
        client = await session.client("cloudwatch")
        await client.put_metric_data(Namespace=namespace, MetricData=list(entries))
    except Exception as error:
        raise translate(error, PERMISSION, namespace) from error


async def has_credentials(session: Session) -> bool:
    """Whether AWS credentials can be found, wherever AWS's own tools look for them.

    Raises:
        QueueError: looking for them failed.
    """
    try:
        return await session.aio.get_credentials() is not None
    except Exception as error:
        raise translate(error, "looking for credentials", "this machine") from error
