"""A queue on a local SQS, and the command line as a real process beside it."""

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
class Ended:
    """A process that ended: its exit code and what it wrote."""

    code: int | None
    out: str
    err: str


Relay = Callable[..., Awaitable[Ended]]
"""Runs `relay` with these arguments, text as `stdin`, and more variables (None removes one)."""


@dataclass(frozen=True)
class Place:
    """The local SQS with the queues `plain` and `ordered.fifo`."""

    sqs: SqsServer

    def stored(self, queue: str = "plain") -> tuple[Stored, ...]:
        return self.sqs.queues[queue].messages()

    def bodies(self, queue: str = "plain") -> list[str]:
        return [message.body for message in self.stored(queue)]


@pytest.fixture
def environ() -> dict[str, str]:
    """The environment of the commands, free of what the tests' own one may say."""
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
    """Runs `relay` as a process of its own."""

    async def run(*arguments: str, stdin: str = "", **variables: str | None) -> Ended:
        given = {**environ, **variables}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={name: value for name, value in given.items() if value is not None},
        )
        out, err = await process.communicate(stdin.encode())
        return Ended(process.returncode, out.decode(), err.decode())

    return run


@pytest.fixture
def relay(environ: dict[str, str]) -> Relay:
    """Runs `relay` in a thread, which saves loading the libraries for each test."""

    async def run(*arguments: str, stdin: str = "", **variables: str | None) -> Ended:
        absent = {name: None for name in os.environ if name not in environ}
        result = await asyncio.to_thread(
            CliRunner().invoke,
            application(arguments),
            list(arguments),
            input=stdin.encode(),
            env={**absent, **environ, **variables},
            prog_name="relay",
        )
        return Ended(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
async def place(environ: dict[str, str]) -> AsyncIterator[Place]:
    async with SqsServer() as sqs:
        environ["AWS_ENDPOINT_URL"] = sqs.url
        sqs.account.create("plain", {}, {})
        sqs.account.create("ordered.fifo", {"FifoQueue": "true"}, {})
        yield Place(sqs)
