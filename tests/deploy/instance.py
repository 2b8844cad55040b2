"""A worker instance on loopback: SQS, sqsd, nginx, the relay and an orchestrator."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped] # it ships no types

from relay.local.inngest import Function, InngestServer
from relay.local.processes import RelayProcess, free_port
from relay.local.sqs import SqsServer
from relay.local.sqsd import Sqsd, SqsdOptions
from relay.settings import clocks
from tests.deploy.platform_nginx import PlatformNginx

REGION = "us-east-1"
IDENTITY = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
QUICK = SqsdOptions(
    http_connections=100,
    inactivity_timeout=20,
    visibility_timeout=6,
    error_visibility_timeout=1,
    retention_period=1_209_600,
)
"""Options of sqsd with a visibility timeout short enough for a test."""


@dataclass
class Instance:
    """All parts except sqsd, which the tests start themselves."""

    sqs: SqsServer
    client: Any
    inngest: InngestServer
    relay: RelayProcess
    nginx: PlatformNginx
    relay_url: str
    queue_url: str
    dlq_url: str

    def daemon(self, options: SqsdOptions = QUICK) -> Sqsd:
        """An sqsd that posts to nginx."""
        return Sqsd(
            self.queue_url, self.nginx.url, options, endpoint_url=self.sqs.url, region=REGION
        )

    async def call(self, action: str, **parameters: Any) -> Any:
        """Call SQS through boto3, in a thread because the server runs in this one."""
        return await asyncio.to_thread(getattr(self.client, action), **parameters)

    async def send(self, body: object, **attributes: str) -> None:
        """Send one message: text as it is, anything else as JSON."""
        await self.call(
            "send_message",
            QueueUrl=self.queue_url,
            MessageBody=body if isinstance(body, str) else json.dumps(body),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        )

    async def dead_letter(self) -> dict[str, Any]:
        """Wait for the first dead letter."""
        found = await self.call(
            "receive_message",
            QueueUrl=self.dlq_url,
            WaitTimeSeconds=20,
            MessageAttributeNames=["All"],
        )
        return dict(found["Messages"][0])

    def remaining(self) -> int:
        """Messages in the main queue, in flight or not."""
        return len(self.sqs.queues["main"].messages())


@contextlib.asynccontextmanager
async def instance(
    directory: Path, functions: Sequence[Function] = (), *, speedup: int = 1, **settings: str
) -> AsyncIterator[Instance]:
    """Start the parts, from SQS to the orchestrator."""
    port = free_port()
    async with contextlib.AsyncExitStack() as stack:
        sqs = await stack.enter_async_context(SqsServer(region=REGION))
        inngest = await stack.enter_async_context(InngestServer(functions=functions))
        client = boto3.client(
            "sqs",
            endpoint_url=sqs.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        stack.callback(client.close)
        queue_url, dlq_url = await asyncio.to_thread(_queues, client)
        variables = IDENTITY | {
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": sqs.url,
            "PORT": str(port),
            "RELAY_QUEUE_URL": queue_url,
            "RELAY_INNGEST_URL": inngest.url,
            "RELAY_INNGEST_EVENT_KEY": "test",
            "RELAY_CONFIRM": "off",
        }
        relay = RelayProcess(
            "serve", settings=variables | settings, output=directory / "relay.log", port=port
        )
        await stack.enter_async_context(relay)
        nginx = PlatformNginx(directory / "nginx", port, speedup=speedup)
        await stack.enter_async_context(nginx)
        yield Instance(
            sqs=sqs,
            client=client,
            inngest=inngest,
            relay=relay,
            nginx=nginx,
            relay_url=f"http://127.0.0.1:{port}",
            queue_url=queue_url,
            dlq_url=dlq_url,
        )


def _queues(client: Any) -> tuple[str, str]:
    dead = client.create_queue(QueueName="dead")
    arn = client.get_queue_attributes(QueueUrl=dead["QueueUrl"], AttributeNames=["QueueArn"])
    policy = {
        "deadLetterTargetArn": arn["Attributes"]["QueueArn"],
        "maxReceiveCount": clocks.MAX_RECEIVE_COUNT,
    }
    main = client.create_queue(
        QueueName="main",
        Attributes={
            "RedrivePolicy": json.dumps(policy),
            "MessageRetentionPeriod": f"{clocks.QUEUE_RETENTION:.0f}",
        },
    )
    return str(main["QueueUrl"]), str(dead["QueueUrl"])
