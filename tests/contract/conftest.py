"""Two SQS servers, one suite: what holds on the embedded one holds on an independent one."""

from __future__ import annotations

import asyncio
import itertools
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3  # type: ignore[import-untyped] # it ships no types
import pytest
from botocore.config import Config  # type: ignore[import-untyped] # it ships no types

from relay.local.sqs import SqsServer

REGION = "us-east-1"


@dataclass(frozen=True)
class Sqs:
    """A server under test, seen through boto3 and nothing else."""

    name: str
    url: str
    client: Any

    def queue(self, suffix: str = "", **attributes: str) -> str:
        """A new queue of these attributes."""
        name = f"q-{uuid.uuid4().hex}{suffix}"
        created = self.client.create_queue(QueueName=name, Attributes=attributes)
        return str(created["QueueUrl"])

    def fifo(self, **attributes: str) -> str:
        """A new FIFO queue of these attributes."""
        return self.queue(".fifo", FifoQueue="true", **attributes)

    def attribute(self, queue: str, name: str) -> str:
        """One attribute of a queue."""
        found = self.client.get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
        return str(found["Attributes"][name])

    def receive(self, queue: str, count: int = 10, **options: Any) -> list[dict[str, Any]]:
        """What a receive brings, with everything in it."""
        options = {
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
            **options,
        }
        answer = self.client.receive_message(QueueUrl=queue, MaxNumberOfMessages=count, **options)
        return list(answer.get("Messages", []))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "differs(moto): how moto's server is known to differ here")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A known difference is expected to show: one that is gone makes its test fail."""
    for item in items:
        known = item.get_closest_marker("differs")
        parameters = getattr(item, "callspec", None)
        if known and parameters and parameters.params.get("sqs") == "moto":
            item.add_marker(pytest.mark.xfail(reason=known.kwargs["moto"], strict=True))


@pytest.fixture(scope="session")
def clients() -> Callable[[str], Any]:
    """Makes boto3 clients that show each error at once."""
    session = boto3.session.Session(aws_access_key_id="any", aws_secret_access_key="any")
    config = Config(region_name=REGION, retries={"total_max_attempts": 1}, max_pool_connections=4)
    return lambda url: session.client("sqs", endpoint_url=url, config=config)


@pytest.fixture(scope="session")
def embedded_url() -> Iterator[str]:
    """The embedded server, in a loop of its own beside the tests."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = SqsServer(region=REGION)
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    yield server.url
    asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="session")
def moto_url(moto: str) -> str:
    return moto


@pytest.fixture(scope="session", params=["embedded", "moto"])
def sqs(request: pytest.FixtureRequest, clients: Callable[[str], Any]) -> Sqs:
    """Each server in turn. Tests share it, so each makes queues of its own."""
    url = request.getfixturevalue(f"{request.param}_url")
    return Sqs(request.param, url, clients(url))


@pytest.fixture
def unique() -> Callable[[], str]:
    """Ids that are never the same."""
    numbers = itertools.count()
    return lambda: f"{uuid.uuid4().hex}-{next(numbers)}"
