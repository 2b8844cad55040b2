"""The usual loop: boto3 in threads, one POST and one delete per message."""

from __future__ import annotations

import os
import threading

import boto3  # type: ignore[import-untyped]  # ships no types
import httpx

THREADS = 10


def consume(queue: str, url: str, http: httpx.Client) -> None:
    """Receive ten messages, then post and delete them one by one, forever."""
    sqs = boto3.session.Session().client("sqs")
    while True:
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=20)
        for message in answer.get("Messages", []):
            response = http.post(
                url, content=message["Body"], headers={"content-type": "application/json"}
            )
            if response.is_success:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def main() -> None:
    """Start the threads and wait forever."""
    arguments = (os.environ["BENCH_QUEUE"], os.environ["BENCH_URL"], httpx.Client())
    threads = [threading.Thread(target=consume, args=arguments) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
