"""The contestants: the programs that are measured, and how each is started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from bench.server_process import Cpus, on_cpus

HERE = Path(__file__).parent
BUILD = HERE.parent / "build" / "bench"
"""For Node packages and the contestants' output; removed by `make clean`."""

RELAY = {
    "RELAY_INNGEST_EVENT_KEY": "bench",
    "RELAY_CONFIRM": "off",
    "RELAY_METRICS": "emf",
    "RELAY_EMF_TARGET": str(BUILD / "metrics.emf"),
}
"""The shipped settings otherwise. The benchmark's event API stores nothing that could be read back,
and there is no CloudWatch, so metrics go to a file."""

TELEMETRY_LEVELS = {
    "all": "as shipped: metrics and one log line per message, to files",
    "problems": "RELAY_LOG_MESSAGES=problems: metrics, and log lines for problems only",
    "nothing": "no metrics and no log lines, which no setting offers",
}
"""The telemetry levels of a relay that is `observed`."""

TELEMETRY_LEVEL_FILE = BUILD / "telemetry-level"
"""The file from which an `observed` relay reads its level."""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A program that consumes a queue, or, if `pushed`, accepts requests.

    `messages` is the number of messages of a run: enough for seconds of CPU.
    """

    name: str
    command: Sequence[str]
    messages: int
    about: str
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
        about=TELEMETRY_LEVELS["all"],
        settings=RELAY | settings,
    )


def relay_serve(messages: int = 10_000) -> Contestant:
    """Our push mode."""
    return Contestant(
        name="relay serve",
        command=(*_python("relay"), "serve"),
        messages=messages,
        about=TELEMETRY_LEVELS["all"],
        settings=RELAY,
        pushed=True,
    )


def observed(mode: str) -> Contestant:
    """A relay whose telemetry level can be changed while it runs; `mode` is `poll` or `serve`."""
    return Contestant(
        name=f"relay {mode}",
        command=(*_python("bench.observed"), mode),
        messages=10_000,
        about=TELEMETRY_LEVELS["all"],
        settings=RELAY | {"BENCH_TELEMETRY_LEVEL": str(TELEMETRY_LEVEL_FILE)},
        pushed=mode == "serve",
    )


def floor() -> Contestant:
    """The lower bound: receive and delete only."""
    return Contestant(
        name="floor",
        command=_python("bench.peers.floor"),
        messages=6_000,
        about=f"{_of('aiobotocore')}, four loops receive and delete ten at a time, forward nothing",
    )


def threads() -> Contestant:
    """A thread pool that processes messages one by one."""
    return Contestant(
        name="threads",
        command=_python("bench.peers.threads"),
        messages=800,
        about=f"{_of('boto3', 'httpx')}, ten threads, one POST and one delete per message",
    )


def web_worker() -> Contestant:
    """A web app behind sqsd: one POST per request."""
    return Contestant(
        name="web worker",
        command=_python("bench.peers.web_worker"),
        messages=1_500,
        about=f"{_of('starlette', 'uvicorn', 'httpx')}, one client, one POST per message",
        pushed=True,
    )


@dataclass(frozen=True, kw_only=True)
class Running:
    """A started contestant; `port` is where a pushed one listens."""

    name: str
    process: asyncio.subprocess.Process
    port: int


@dataclass(frozen=True, kw_only=True)
class Servers:
    """The addresses of SQS and the event API; `authority` is that of their certificates."""

    sqs: str
    url: str
    authority: Path | None = None

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables with which any contestant uses them."""
        trust = ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
        return {
            "AWS_ENDPOINT_URL": self.sqs,
            "BENCH_URL": f"{self.url}/e/bench",
            "RELAY_INNGEST_URL": self.url,
            **(dict.fromkeys(trust, str(self.authority)) if self.authority else {}),
        }


@contextlib.asynccontextmanager
async def started(
    contestant: Contestant, *, servers: Servers, queue: str, cpus: Cpus, log: Path
) -> AsyncIterator[Running]:
    """Run the contestant on this queue and these servers while the block runs."""
    port = free_port()
    with log.open("ab") as output, on_cpus(cpus):
        process = await asyncio.create_subprocess_exec(
            *contestant.command,
            cwd=contestant.directory,
            env=variables(contestant, servers, queue) | {"PORT": str(port)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C reaches only us; we end the process
        )
    try:
        yield Running(name=contestant.name, process=process, port=port)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def variables(contestant: Contestant, servers: Servers, queue: str) -> dict[str, str]:
    """Our environment variables without any that could affect it, plus the addresses."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "RELAY_", "BENCH_"))
    } | {
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "BENCH_QUEUE": queue,
        "RELAY_QUEUE_URL": queue,
        **servers.variables,
        **contestant.settings,
    }


def free_port() -> int:
    """A free port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
