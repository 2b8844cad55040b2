"""One suite for two SQS servers: the local one, by both protocols, and an independent one."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import boto3  # type: ignore[import-untyped] # it ships no types
import pytest
from botocore.config import Config  # type: ignore[import-untyped] # it ships no types
from botocore.exceptions import ClientError  # type: ignore[import-untyped] # it ships no types

from relay.local.sqs import SqsServer
from relay.local.sqs.errors import SqsError
from relay.local.sqs.query_protocol import query_description

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


def error(call: Callable[..., Any], **parameters: Any) -> dict[str, str]:
    """The error that the call is answered with."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    found: dict[str, str] = caught.value.response["Error"]
    return found


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "differs(moto): how moto's server is known to differ here")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Known differences are strict xfails: if one disappears, its test fails."""
    for item in items:
        difference = item.get_closest_marker("differs")
        parameters = getattr(item, "callspec", None)
        if difference and parameters and parameters.params.get("sqs") == "moto":
            item.add_marker(pytest.mark.xfail(reason=difference.kwargs["moto"], strict=True))


Clients: TypeAlias = Callable[[str, str], Any]


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Clients:
    """Makes boto3 clients without retries: `sqs` speaks JSON, `sqs-query` the Query protocol."""
    models = tmp_path_factory.mktemp("models")
    _describe_query_protocol(models)
    session = boto3.session.Session(aws_access_key_id="any", aws_secret_access_key="any")
    session._session.get_component("data_loader").search_paths.append(str(models))
    config = Config(region_name=REGION, retries={"total_max_attempts": 1}, max_pool_connections=4)
    return lambda service, url: session.client(service, endpoint_url=url, config=config)


def _describe_query_protocol(models: Path) -> None:
    """Give botocore the service as it was before the JSON protocol."""
    description = query_description()
    for name, shape in description["shapes"].items():
        if shape.get("exception"):
            error = SqsError(name, "")
            shape["error"] = {"code": error.query_code, "httpStatusCode": error.status}
    folder = models / "sqs-query" / "2012-11-05"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text(json.dumps(description))


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


@pytest.fixture(scope="session", params=["embedded", "embedded by Query", "moto"])
def sqs(request: pytest.FixtureRequest, clients: Clients) -> Sqs:
    """Each server in turn. Tests share the server, so each creates its own queues."""
    server, _, protocol = str(request.param).partition(" by ")
    url = request.getfixturevalue(f"{server}_url")
    return Sqs(server, url, clients("sqs-query" if protocol else "sqs", url))


@pytest.fixture
def unique() -> Callable[[], str]:
    """Makes unique ids."""
    numbers = itertools.count()
    return lambda: f"{uuid.uuid4().hex}-{next(numbers)}"
