"""Queues with dead letters on a local SQS, and the command line beside it."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from botocore.session import Session as BotoSession  # type: ignore[import-untyped]  # ships no types
from typer.testing import CliRunner

from relay.aws.session import Session
from relay.cli import application
from relay.local.clock import ManualClock
from relay.local.sqs import Fault, Request, SqsServer
from tests.dlq.queues import LocalQueues
from tests.dlq.redriver import Redriver

QUICK = ("--wait", "0")
YES = ("--yes", *QUICK)


@dataclass(frozen=True)
class Ended:
    """A command that ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str


Relay = Callable[..., Awaitable[Ended]]


@pytest.fixture(scope="session")
def session() -> Session:
    """Signs requests; creating one takes longer than most tests."""
    return Session(BotoSession(), AsyncExitStack(), "us-east-1")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of the commands, without AWS and relay variables of the test run."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RELAY_"))}
    kept.pop("PORT", None)
    return kept | {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "PYTHONWARNINGS": "error",
    }


@pytest.fixture
def relay(environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Relay:
    """Runs `relay` in a thread, which avoids importing its libraries for each test."""
    monkeypatch.chdir(tmp_path)

    async def run(*arguments: str | Path, stdin: str = "", **variables: str | None) -> Ended:
        words = [str(argument) for argument in arguments]
        absent = {name: None for name in os.environ if name not in environ}
        result = await asyncio.to_thread(
            CliRunner().invoke,
            application(words),
            words,
            input=stdin.encode(),
            env={**absent, **environ, **variables},
            prog_name="relay",
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
async def queues(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, session: Session
) -> AsyncIterator[LocalQueues]:
    clock = ManualClock()
    places: list[LocalQueues] = []

    def hooked(request: Request) -> Fault | None:
        return places[0].hook(request) if places and places[0].hook else None

    async with SqsServer(clock=clock, faults=hooked) as sqs:
        environ["AWS_ENDPOINT_URL"] = sqs.url
        for name, value in environ.items():
            if name.startswith("AWS_"):
                monkeypatch.setenv(name, value)
        async with AsyncExitStack() as stack:
            queues = LocalQueues(sqs, clock, session, stack)
            places.append(queues)
            queues.make("dead", MessageRetentionPeriod="1209600")
            queues.make("main", "dead")
            queues.make("dead.fifo")
            queues.make("main.fifo", "dead.fifo")
            environ["RELAY_QUEUE_URL"] = "main"
            yield queues


@pytest.fixture
def redriver(queues: LocalQueues, tmp_path: Path) -> Redriver:
    return Redriver(queues, tmp_path / "run")
