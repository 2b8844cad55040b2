"""The outputs can be pasted: a poller started with nothing else delivers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.local.inngest import InngestServer
from relay.local.processes import RelayProcess
from relay.telemetry import metrics
from tests.deploy.simulated_aws import IDENTITY, Aws, simulated_aws
from tests.deploy.template import Template

KEY = "the-event-key"


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Aws]:
    with simulated_aws(tmp_path / "created") as started:
        yield started


def env_file(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


async def test_relay_poll_delivers_with_the_variables_of_the_output(
    aws: Aws, pull: Template, tmp_path: Path
) -> None:
    outputs = await asyncio.to_thread(aws.create, pull)
    secrets, sqs = aws.client("secretsmanager"), aws.client("sqs")
    secrets.put_secret_value(SecretId=outputs["EventKeySecret"], SecretString=KEY)
    body = json.dumps({"name": "shop/order", "data": {}})
    sqs.send_message(QueueUrl=outputs["QueueUrl"], MessageBody=body)
    variables = env_file(outputs["RelayVariables"])
    async with InngestServer(mode="start", event_keys=[KEY]) as inngest:
        # A local server in place of the Cloud.
        here = {"AWS_ENDPOINT_URL": aws.url, "RELAY_INNGEST_URL": inngest.url}
        settings = variables | IDENTITY | here | {"RELAY_CONFIRM": "off"}
        async with RelayProcess("poll", settings=settings, output=tmp_path / "log") as relay:
            async with asyncio.timeout(30):
                await inngest.until(lambda: len(inngest.events) == 1)
            await relay.terminate()
    watched = {m["dimensions"]["service"] for m in pull.metrics() if m["namespace"] == "Relay"}
    assert watched == {variables["RELAY_SERVICE"]}
    emitted = aws.client("cloudwatch").list_metrics(Namespace=metrics.NAMESPACE)["Metrics"]
    services = {d["Value"] for m in emitted for d in m["Dimensions"] if d["Name"] == "service"}
    assert services == watched


def test_the_policies_are_documents_with_the_resources_of_the_stack(
    aws: Aws, pull: Template
) -> None:
    outputs = aws.create(pull)
    queue = outputs["QueueArn"]
    (publish,) = json.loads(outputs["ProducerPolicy"])["Statement"]
    assert publish["Resource"] == queue
    assert sorted(publish["Action"]) == ["sqs:GetQueueUrl", "sqs:SendMessage"]
    statements = json.loads(outputs["OperatorPolicy"])["Statement"]
    redrive = next(s for s in statements if s["Sid"] == "Redrive")
    assert redrive["Resource"] == queue
