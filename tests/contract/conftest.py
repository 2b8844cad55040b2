"""One suite for two SQS servers: the local one must behave as an independent one does."""

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
    """A server under test, through boto3 only."""

    name: str
    url: str
    client: Any

    def queue(self, suffix: str = "", **attributes: str) -> str:
        """Create a queue with these attributes; returns its URL."""
        name = f"q-{uuid.uuid4().hex}{suffix}"
        created = self.client.create_queue(QueueName=name, Attributes=attributes)
        return str(created["QueueUrl"])

    def fifo(self, **attributes: str) -> str:
        """Create a FIFO queue with these attributes; returns its URL."""
        return self.queue(".fifo", FifoQueue="true", **attributes)

    def attribute(self, queue: str, name: str) -> str:
        """One attribute of a queue."""
        found = self.client.get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
        return str(found["Attributes"][name])

    def receive(self, queue: str, count: int = 10, **options: Any) -> list[dict[str, Any]]:
        """Receive messages with all attributes."""
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
    """Known differences are strict xfails: if one disappears, its test fails."""
    for item in items:
        difference = item.get_closest_marker("differs")
        parameters = getattr(item, "callspec", None)
        if difference and parameters and parameters.params.get("sqs") == "moto":
            item.add_marker(pytest.mark.xfail(reason=difference.kwargs["moto"], strict=True))


@pytest.fixture(scope="session")
def clients() -> Callable[[str], Any]:
    """Makes boto3 clients without retries."""
    session = boto3.session.Session(aws_access_key_id="any", aws_secret_access_key="any")
    config = Config(region_name=REGION, retries={"total_max_attempts": 1}, max_pool_connections=4)
    return lambda url: session.client("sqs", endpoint_url=url, config=config)


@pytest.fixture(scope="session")
def embedded_url() -> Iterator[str]:
    """The local server, in an event loop on a thread of its own."""
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
    """Each server in turn. Tests share the server, so each creates its own queues."""
    url = request.getfixturevalue(f"{request.param}_url")
    return Sqs(request.param, url, clients(url))


@pytest.fixture
def unique() -> Callable[[], str]:
    """Makes unique ids."""
    numbers = itertools.count()
    return lambda: f"{uuid.uuid4().hex}-{next(numbers)}"
