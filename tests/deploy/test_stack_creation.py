"""The unmodified template can be created, and the relay delivers with what it created."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.local.inngest import InngestServer
from relay.local.processes import RelayProcess, free_port
from relay.local.sqsd import Sqsd, SqsdOptions
from relay.model.origin import ATTRIBUTE, unpack
from relay.telemetry import metrics
from tests.deploy.simulated_aws import IDENTITY, REGION, Aws, simulated_aws
from tests.deploy.template import Template

KEY = "the-event-key"
SQSD = "aws:elasticbeanstalk:sqsd"
VARIABLES = "aws:elasticbeanstalk:application:environment"


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Aws]:
    with simulated_aws(tmp_path / "created") as started:
        yield started


async def test_the_relay_delivers_with_the_environments_settings(
    aws: Aws, default: Template, tmp_path: Path
) -> None:
    outputs = await asyncio.to_thread(aws.create, default)
    options = aws.options()
    secrets = aws.client("secretsmanager")
    secrets.put_secret_value(SecretId=outputs["EventKeySecret"], SecretString=KEY)
    port = free_port()
    daemon = SqsdOptions.parse(
        f"{name}={value}" for name, value in options[SQSD].items() if name != "WorkerQueueURL"
    )
    async with InngestServer(mode="start", event_keys=[KEY]) as inngest:
        variables = options[VARIABLES] | IDENTITY | {"AWS_ENDPOINT_URL": aws.url}
        # A local server in place of the Cloud, whose URL is the default.
        variables |= {"RELAY_INNGEST_URL": inngest.url, "RELAY_CONFIRM": "off", "PORT": str(port)}
        async with (
            RelayProcess("serve", settings=variables, output=tmp_path / "log", port=port) as relay,
            Sqsd(
                options[SQSD]["WorkerQueueURL"],
                f"http://127.0.0.1:{port}",
                daemon,
                endpoint_url=aws.url,
                region=REGION,
            ),
        ):
            await asyncio.to_thread(publish, aws.client("sqs"), outputs["QueueUrl"])
            dead_letter = await asyncio.to_thread(
                receive_dead_letter, aws, outputs["DeadLetterQueueUrl"]
            )
            async with asyncio.timeout(30):
                await inngest.until(lambda: len(inngest.events) == 20)
            assert {event.name for event in inngest.events} == {"shop/order"}, relay.output()
    emitted = await asyncio.to_thread(emitted_metrics, aws)
    in_alarms = [m for m in default.metrics() if m["namespace"] == metrics.NAMESPACE]
    assert [m for m in in_alarms if m not in emitted] == []
    assert dead_letter["Body"] == "poison"
    assert (
        unpack(dead_letter["MessageAttributes"][ATTRIBUTE]["StringValue"]).source == "relay-events"
    )


def emitted_metrics(aws: Aws) -> list[dict[str, Any]]:
    """The metrics that the relay has sent to CloudWatch, in the form of an alarm's metrics."""
    pages = aws.client("cloudwatch").get_paginator("list_metrics").paginate(Namespace="Relay")
    return [
        {
            "namespace": metric["Namespace"],
            "name": metric["MetricName"],
            "dimensions": {d["Name"]: d["Value"] for d in metric["Dimensions"]},
        }
        for page in pages
        for metric in page["Metrics"]
    ]


def publish(sqs: Any, url: str) -> None:
    bodies = [json.dumps({"name": "shop/order", "data": {"n": n}}) for n in range(20)]
    for body in (*bodies[:10], "poison", *bodies[10:]):
        sqs.send_message(QueueUrl=url, MessageBody=body)


def receive_dead_letter(aws: Aws, url: str) -> dict[str, Any]:
    """Wait for the only dead letter."""
    found = aws.client("sqs").receive_message(
        QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["All"]
    )
    (dead_letter,) = found["Messages"]
    return dict(dead_letter)


async def test_cloudwatch_has_the_alarms_and_sqs_the_policies(aws: Aws, default: Template) -> None:
    outputs = await asyncio.to_thread(aws.create, default)
    alarms = aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    expected = {a["AlarmName"] for a in default.of_type("AWS::CloudWatch::Alarm")}
    assert {a["AlarmName"] for a in alarms} == expected
    attributes = aws.client("sqs").get_queue_attributes(
        QueueUrl=outputs["QueueUrl"], AttributeNames=["All"]
    )["Attributes"]
    assert "aws:SecureTransport" in attributes["Policy"]
    redrive = json.loads(attributes["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"].endswith(":relay-events-dlq")
