"""CloudWatch: metrics to and from it, and searches in its logs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from relay.aws.errors import NO_CREDENTIALS, AwsError, calling
from relay.aws.json_protocol import Service, open_json_client
from relay.aws.regions import is_aws
from relay.aws.session import Session

PERMISSION = "cloudwatch:PutMetricData"

_METRICS = Service(
    "monitoring",
    "GraniteServiceVersion20100801",
    silent=frozenset({"PutMetricData"}),
    permissions="cloudwatch",
)

LOOK_BACK = 600.0
"""Seconds of metrics to read: those of SQS arrive some minutes late."""

PAGES = 200
"""Pages of a log search. An empty page may have a successor: each searches a part of the group."""


async def put_metrics(session: Session, namespace: str, entries: Sequence[dict[str, Any]]) -> None:
    """Send metrics with one PutMetricData call. A `Timestamp` is in epoch seconds.

    Raises:
        AwsError: CloudWatch did not accept them.
    """
    request = {"Namespace": namespace, "MetricData": entries}
    opening = open_json_client(session, *await session.locate("cloudwatch"), _METRICS)
    async with opening as client:
        await client.call("PutMetricData", request, namespace)


async def has_credentials(session: Session) -> bool:
    """Whether AWS credentials are found in any of the places where AWS's own tools look.

    Raises:
        AwsError: the search failed.
    """
    try:
        await session.credentials()
    except AwsError as error:
        if error.code == NO_CREDENTIALS:
            return False
        raise
    return True


async def oldest_message_ages(
    session: Session, queues: Sequence[str], now: float
) -> dict[str, float]:
    """The age of the oldest message in seconds, for each queue of which CloudWatch has one.

    Args:
        session: the AWS session.
        queues: the queues' names.
        now: epoch seconds.

    Raises:
        AwsError: CloudWatch did not answer, or the endpoint in use is no CloudWatch.
    """
    client = await session.client("cloudwatch")
    try:
        return await _ages(client, queues, now)
    except AwsError as error:
        endpoint = client.meta.endpoint_url
        if error.kind == "connection" or is_aws(urlsplit(endpoint).hostname or ""):
            raise
        sentence = f"they come from CloudWatch, which {endpoint} is not"
        raise AwsError(error.code, error.kind, sentence) from error


async def _ages(client: Any, queues: Sequence[str], now: float) -> dict[str, float]:
    end = datetime.fromtimestamp(now, UTC)
    with calling("cloudwatch:GetMetricData", "AWS/SQS"):
        answer = await client.get_metric_data(
            MetricDataQueries=[_query(i, name) for i, name in enumerate(queues)],
            StartTime=end - timedelta(seconds=LOOK_BACK),
            EndTime=end + timedelta(seconds=60),
            ScanBy="TimestampDescending",
        )
        values = {int(one["Id"][1:]): one["Values"] for one in answer["MetricDataResults"]}
        return {name: float(values[i][0]) for i, name in enumerate(queues) if values.get(i)}


def _query(index: int, name: str) -> dict[str, object]:
    metric = {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateAgeOfOldestMessage",
        "Dimensions": [{"Name": "QueueName", "Value": name}],
    }
    return {"Id": f"q{index}", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"}}


async def search_logs(
    session: Session, group: str, word: str, since: float, *, pages: int = PAGES
) -> tuple[list[str], bool]:
    """The lines since a time (epoch seconds) that contain the word, and whether all were searched.

    Raises:
        AwsError: the log group does not exist or may not be read.
    """
    client = await session.client("logs")
    # Quotes make the pattern a literal text.
    request: dict[str, Any] = {
        "logGroupName": group,
        "filterPattern": json.dumps(word, ensure_ascii=False),
        "startTime": int(since * 1_000),
    }
    lines: list[str] = []
    for _ in range(pages):
        with calling("logs:FilterLogEvents", group):
            answer = await client.filter_log_events(**request)
            lines += [str(event["message"]) for event in answer.get("events", ())]
            token = answer.get("nextToken")
        if not token:
            return lines, True
        request["nextToken"] = token
    return lines, False
