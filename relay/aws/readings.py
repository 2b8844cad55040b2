"""Readings of CloudWatch: what AWS itself measures about a queue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from relay.aws.errors import translate
from relay.aws.session import Session

BACK = 600.0
"""Seconds to look back: SQS's metrics come a few minutes late."""


async def oldest(session: Session, queues: Sequence[str], now: float) -> dict[str, float]:
    """The age of the oldest message of each queue, seconds, as far as CloudWatch knows one.

    Args:
        session: of AWS.
        queues: their names.
        now: epoch seconds.

    Raises:
        QueueError: CloudWatch did not answer.
    """
    client = await session.client("cloudwatch")
    end = datetime.fromtimestamp(now, UTC)
    try:
        answer = await client.get_metric_data(
            MetricDataQueries=[_query(i, name) for i, name in enumerate(queues)],
            StartTime=end - timedelta(seconds=BACK),
            EndTime=end + timedelta(seconds=60),
            ScanBy="TimestampDescending",
        )
    except Exception as error:
        raise translate(error, "cloudwatch:GetMetricData", "AWS/SQS") from error
    values = {int(one["Id"][1:]): one["Values"] for one in answer["MetricDataResults"]}
    return {name: float(values[i][0]) for i, name in enumerate(queues) if values.get(i)}


def _query(index: int, name: str) -> dict[str, object]:
    metric = {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateAgeOfOldestMessage",
        "Dimensions": [{"Name": "QueueName", "Value": name}],
    }
    return {"Id": f"q{index}", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}}
