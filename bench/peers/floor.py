"""The lower bound: plain aiobotocore that receives and deletes ten at a time, forwards nothing."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from aiobotocore.session import get_session  # type: ignore[import-untyped]  # ships no types

LOOPS = 4


async def consume(client: Any, queue: str) -> None:
    """Receive and delete forever."""
    while True:
        answer = await client.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=20
        )
        messages = answer.get("Messages", [])
        if messages:
            entries = [
                {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                for index, message in enumerate(messages)
            ]
            await client.delete_message_batch(QueueUrl=queue, Entries=entries)


async def main() -> None:
    """Run a few loops on one client."""
    async with get_session().create_client("sqs") as client:
        queue = os.environ["BENCH_QUEUE"]
        await asyncio.gather(*(consume(client, queue) for _ in range(LOOPS)))


if __name__ == "__main__":
    asyncio.run(main())
