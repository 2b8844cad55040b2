"""A local SQS on a manual clock, and a client that exposes raw responses."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from relay.local.clock import ManualClock
from relay.local.sqs import Queue, SqsServer

TIMEOUT = 30.0


class Refused(Exception):
    """An error response: status, code, and the header with the query protocol's code."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self.code = answer.json()["__type"].rpartition("#")[2]
        self.message = answer.json()["message"]
        self.header = answer.headers["x-amzn-query-error"]
        super().__init__(f"{self.status} {self.code}: {self.message}")


@dataclass
class Sqs:
    """A running server. Queues are addressed by name: the server ignores the rest of a URL."""

    server: SqsServer
    clock: ManualClock
    http: httpx.AsyncClient

    async def call(self, action: str, **parameters: Any) -> dict[str, Any]:
        """Call an action; an error is raised as `Refused`."""
        headers = {"x-amz-target": f"AmazonSQS.{action}", "content-type": "x-amz-json-1.0"}
        answer = await self.http.post("/", json=parameters, headers=headers)
        if answer.is_error:
            raise Refused(answer)
        return dict(answer.json())

    async def queue(self, name: str = "q", **attributes: str) -> Queue:
        """Create a queue and return the server's object."""
        await self.call("CreateQueue", QueueName=name, Attributes=attributes)
        return self.server.queues[name]

    async def send(self, *bodies: str, queue: str = "q", **options: Any) -> list[str]:
        """Send messages one by one; returns their MessageIds."""
        sent = [
            await self.call("SendMessage", QueueUrl=queue, MessageBody=body, **options)
            for body in bodies
        ]
        return [answer["MessageId"] for answer in sent]

    async def receive(self, queue: str = "q", **options: Any) -> list[dict[str, Any]]:
        """Receive up to ten messages with all attributes."""
        options = {
            "MaxNumberOfMessages": 10,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
            **options,
        }
        answer = await self.call("ReceiveMessage", QueueUrl=queue, **options)
        return list(answer.get("Messages", []))

    async def delete(self, message: dict[str, Any], queue: str = "q") -> None:
        """Delete with the handle of this receive."""
        handle = message["ReceiptHandle"]
        await self.call("DeleteMessage", QueueUrl=queue, ReceiptHandle=handle)

    async def hold(self, message: dict[str, Any], seconds: int, queue: str = "q") -> None:
        """Change the visibility timeout with the handle of this receive."""
        await self.call(
            "ChangeMessageVisibility",
            QueueUrl=queue,
            ReceiptHandle=message["ReceiptHandle"],
            VisibilityTimeout=seconds,
        )

    def polling(self, queue: str = "q", seconds: int = 20) -> asyncio.Task[list[dict[str, Any]]]:
        """Start a long poll."""
        return asyncio.create_task(self.receive(queue, WaitTimeSeconds=seconds))


@pytest.fixture
async def sqs() -> AsyncIterator[Sqs]:
    clock = ManualClock()
    async with (
        SqsServer(clock=clock) as server,
        httpx.AsyncClient(base_url=server.url, timeout=TIMEOUT, verify=False) as http,
    ):
        yield Sqs(server, clock, http)


def encoded(value: bytes) -> str:
    """Bytes as the JSON protocol encodes them."""
    return base64.b64encode(value).decode()
