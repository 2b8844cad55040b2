"""Fixtures: an SQS server on loopback, and the command line in a process or a thread."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from relay.cli import application
from relay.local.sqs.server import SqsServer
from relay.local.sqs.stored import Stored


@dataclass(frozen=True)
class CommandResult:
    """A finished command: its exit code and output."""

    code: int | None
    out: str
    err: str


Relay = Callable[..., Awaitable[CommandResult]]
"""Runs `relay` with arguments, `stdin` and extra environment variables (None removes one)."""


@dataclass(frozen=True)
class LocalSqs:
    """An SQS server with the queues `plain` and `ordered.fifo`."""

    sqs: SqsServer

    def stored(self, queue: str = "plain") -> tuple[Stored, ...]:
        return self.sqs.queues[queue].messages()

    def bodies(self, queue: str = "plain") -> list[str]:
        return [message.body for message in self.stored(queue)]


@pytest.fixture
def environ() -> dict[str, str]:
    """The environment of the commands, without AWS_ and RELAY_ variables of the test run."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RELAY_"))}
    kept.pop("PORT", None)
    return kept | {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "PYTHONWARNINGS": "error",
    }


@pytest.fixture
def process(environ: dict[str, str]) -> Relay:
    """Runs `relay` in its own process."""

    async def run(*arguments: str, stdin: str = "", **variables: str | None) -> CommandResult:
        given = {**environ, **variables}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={name: value for name, value in given.items() if value is not None},
        )
        out, err = await process.communicate(stdin.encode())
        return CommandResult(process.returncode, out.decode(), err.decode())

    return run


@pytest.fixture
def relay(environ: dict[str, str]) -> Relay:
    """Runs `relay` in a thread: a process would load the libraries for each test."""

    async def run(*arguments: str, stdin: str = "", **variables: str | None) -> CommandResult:
        absent = {name: None for name in os.environ if name not in environ}
        result = await asyncio.to_thread(
            CliRunner().invoke,
            application(arguments),
            list(arguments),
            input=stdin.encode(),
            env={**absent, **environ, **variables},
            prog_name="relay",
        )
        return CommandResult(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
async def local_sqs(environ: dict[str, str]) -> AsyncIterator[LocalSqs]:
    async with SqsServer() as sqs:
        environ["AWS_ENDPOINT_URL"] = sqs.url
        sqs.account.create("plain", {}, {})
        sqs.account.create("ordered.fifo", {"FifoQueue": "true"}, {})
        yield LocalSqs(sqs)
