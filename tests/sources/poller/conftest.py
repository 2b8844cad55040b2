from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from relay.aws.json_protocol import open_json_client
from relay.aws.references import arn_of
from relay.aws.session import open_session
from relay.aws.sqs import Queue
from relay.local.clock import ManualClock
from relay.local.sqs.server import SqsServer
from tests.sources.poller.rig import Rig

REGION = "us-east-1"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", REGION)
    return monkeypatch


@pytest.fixture(params=[False, True], ids=["task", "fast path"])
def fast(request: pytest.FixtureRequest) -> bool:
    """Whether messages have a task each, or are begun on the fast path."""
    begun: bool = request.param
    return begun


@asynccontextmanager
async def open_rig(name: str, attributes: dict[str, str]) -> AsyncIterator[Rig]:
    clock = ManualClock(time.time())
    # Not with `open_queue`: the botocore client that it uses takes long to load.
    async with (
        SqsServer(clock=clock) as server,
        open_session() as session,
        open_json_client(session, server.url, REGION) as wire,
    ):
        request = {"QueueName": name, "Attributes": attributes}
        url = (await wire.call("CreateQueue", request, name))["QueueUrl"]
        rig = Rig(server, clock, Queue(wire, url, arn_of(url, REGION)))
        rig.count_calls()
        yield rig


@pytest.fixture
async def rig(aws: pytest.MonkeyPatch, fast: bool) -> AsyncIterator[Rig]:
    """A standard queue with a visibility timeout of 30 s."""
    async with open_rig("main", {"VisibilityTimeout": "30"}) as rig:
        rig.fast = fast
        yield rig


@pytest.fixture
async def fifo(aws: pytest.MonkeyPatch, fast: bool) -> AsyncIterator[Rig]:
    """A FIFO queue with a visibility timeout of 30 s."""
    attributes = {"VisibilityTimeout": "30", "FifoQueue": "true"}
    async with open_rig("main.fifo", attributes) as rig:
        rig.fast = fast
        yield rig
