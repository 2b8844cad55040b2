"""Who is measured, and how each is started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from bench.servant import on_cpu

HERE = Path(__file__).parent
NODE_HOME = HERE.parent / "build" / "bench"
"""Where the packages for Node go; removed by `make clean`."""

RELAY = {"RELAY_INNGEST_EVENT_KEY": "bench", "RELAY_CONFIRM": "off", "RELAY_METRICS": "none"}
"""The shipped settings otherwise: the event API here keeps nothing that could be read back."""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A program that consumes a queue, or takes requests where it is `pushed`.

    `messages` is how many it is given to be measured by: enough for seconds of CPU.
    """

    name: str
    command: Sequence[str]
    messages: int
    about: str = ""
    pushed: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    directory: Path = HERE.parent


def _python(module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module)


def _of(*packages: str) -> str:
    return " + ".join(f"{package} {metadata.version(package)}" for package in packages)


def relay_poll(messages: int = 10_000, **settings: str) -> Contestant:
    """Our pull mode."""
    return Contestant(
        name="relay poll",
        command=(*_python("relay"), "poll"),
        messages=messages,
        settings=RELAY | settings,
    )


def relay_serve(messages: int = 10_000) -> Contestant:
    """Our push mode."""
    command = (*_python("relay"), "serve")
    return Contestant(
        name="relay serve",
        command=command,
        messages=messages,
        settings=RELAY,
        pushed=True,
    )


def floor() -> Contestant:
    """Receive and delete only."""
    return Contestant(
        name="floor",
        command=_python("bench.peers.floor"),
        messages=6_000,
        about=f"{_of('aiobotocore')}, receive and delete in tens, forwards nothing",
    )


def threads() -> Contestant:
    """Everything one by one."""
    return Contestant(
        name="threads",
        command=_python("bench.peers.threads"),
        messages=800,
        about=f"{_of('boto3', 'httpx')}, ten threads, one POST and one delete a message",
    )


def web_worker() -> Contestant:
    """One POST for each request."""
    return Contestant(
        name="web worker",
        command=_python("bench.peers.web_worker"),
        messages=1_500,
        about=f"{_of('starlette', 'uvicorn', 'httpx')}, one POST a message",
        pushed=True,
    )


def node(version: str) -> tuple[Contestant, Contestant]:
    """sqs-consumer in both of its ways; `version` is what `installed` said."""

    def of(way: str, messages: int, about: str) -> Contestant:
        return Contestant(
            name=f"sqs-consumer, {way}",
            command=("node", "consumer.mjs", way),
            messages=messages,
            about=f"{version}, {about}",
            directory=NODE_HOME,
        )

    return (
        of("each", 1_500, "one POST a message"),
        of("batch", 3_000, "one POST a batch of ten"),
    )


def installed() -> str:
    """Install what runs on Node; its versions.

    Raises:
        RuntimeError: with the reason why it cannot be.
    """
    if not (shutil.which("node") and shutil.which("npm")):
        raise RuntimeError("Node is not installed")
    NODE_HOME.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "consumer.mjs"):
        shutil.copy(HERE / "peers" / name, NODE_HOME)
    if not (NODE_HOME / "node_modules" / "sqs-consumer").exists():
        _run("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts")
    script = "process.stdout.write(require('./node_modules/sqs-consumer/package.json').version)"
    return f"sqs-consumer {_run('node', '-p', script)[:-4]} on Node {_run('node', '--version')}"


def _run(*command: str) -> str:
    done = subprocess.run(command, cwd=NODE_HOME, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:2])} failed: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


@dataclass(frozen=True, kw_only=True)
class Running:
    """A contestant that was started; `port` is where a pushed one listens."""

    process: asyncio.subprocess.Process
    port: int


@contextlib.asynccontextmanager
async def started(
    contestant: Contestant, *, sqs: str, queue: str, url: str, cpu: int | None, log: Path
) -> AsyncIterator[Running]:
    """The contestant at work on this queue and event API for as long as the block runs."""
    port = free_port()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "RELAY_", "BENCH_"))
    } | {
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": sqs,
        "BENCH_QUEUE": queue,
        "BENCH_URL": f"{url}/e/bench",
        "RELAY_QUEUE_URL": queue,
        "RELAY_INNGEST_URL": url,
        "PORT": str(port),
        **contestant.settings,
    }
    with log.open("ab") as output, on_cpu(cpu):
        process = await asyncio.create_subprocess_exec(
            *contestant.command,
            cwd=contestant.directory,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield Running(process=process, port=port)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def free_port() -> int:
    """A port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
