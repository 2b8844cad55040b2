"""Everything that the example needs on this machine: queue, relay, orchestrator, application.

The orchestrator is the relay's embedded event API with an executor, or a real Inngest server that
runs already.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from relay.local.environment import Environment, Plan, local_environment
from relay.local.processes import PATIENCE, RelayProcess, free_port
from sermons import tracing
from sermons.library import Library
from sermons.story.door import Door
from sermons.story.executor import Executor
from sermons.story.registry import Registry
from sermons.uploads import Uploader

_POLL = 0.1

_START = 120.0
"""Seconds until the application must answer: its imports alone take some of CPU time."""

_TRACED = {"RELAY_TRACES": "otlp", "RELAY_TRACE_IN_DATA": "true"}
"""Settings of the relay with which its requests and the functions are in the upload's trace."""


class Failed(Exception):
    """Something did not start, or ended."""


class Orchestrator(Protocol):
    """What can go down: the embedded server with its executor, or the way to a real one."""

    @property
    def url(self) -> str:
        """Where the relay sends events."""

    async def down(self) -> None:
        """Refuse connections, and cut those that are open."""

    async def up(self) -> None:
        """Take connections again."""


@dataclass(frozen=True, kw_only=True)
class RealInngest:
    """A real Inngest server that runs already.

    Attributes:
        event_key: of `inngest start`; `inngest dev` takes any.
        signing_key: of `inngest start`; empty for `inngest dev`.
    """

    url: str
    event_key: str = ""
    signing_key: str = ""

    def of_the_application(self) -> dict[str, str]:
        """The SDK's own variables."""
        if not self.signing_key:
            return {"INNGEST_DEV": self.url}
        return {
            "INNGEST_BASE_URL": self.url,
            "INNGEST_EVENT_KEY": self.event_key,
            "INNGEST_SIGNING_KEY": self.signing_key,
        }

    def of_the_relay(self) -> dict[str, str]:
        """The relay's settings besides the address."""
        return {"RELAY_INNGEST_EVENT_KEY": self.event_key} if self.event_key else {}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to start.

    Attributes:
        directory: for the application's data and the logs.
        real: a real Inngest server; None for the embedded event API.
        port: of the application; 0 for any free one.
        sqs_port: of the local SQS; 0 for any free one.
        inngest_port: of the embedded event API; 0 for any free one.
        processors: how many heavy steps run at once.
        remind_after: seconds from an announcement to its reminder.
    """

    directory: Path
    real: RealInngest | None = None
    port: int = 0
    sqs_port: int = 0
    inngest_port: int = 0
    processors: int = 2
    remind_after: float = 5.0


@dataclass(frozen=True, kw_only=True)
class Servers:
    """What runs."""

    environment: Environment
    orchestrator: Orchestrator
    library: Library
    uploader: Uploader
    url: str

    @property
    def relay(self) -> RelayProcess:
        """The relay, which can be killed."""
        relay = self.environment.relay
        assert isinstance(relay, RelayProcess)  # noqa: S101 - the plan asks for no other host
        return relay

    def waiting(self) -> int:
        """Messages in the queue."""
        return len(self.environment.sqs.queues["relay"].messages())

    def dead_letters(self) -> list[str]:
        """The reason code of each dead letter."""
        found = []
        for message in self.environment.sqs.queues["relay-dlq"].messages():
            packed = message.attributes.get("relay-origin")
            origin = json.loads(packed.string_value or "{}") if packed else {}
            found.append(origin.get("code", "moved by SQS"))
        return found


@contextlib.asynccontextmanager
async def servers(settings: Settings, failures: Callable[[str], None]) -> AsyncIterator[Servers]:
    """Start everything in order, and stop it in reverse order.

    Args:
        settings: what to start.
        failures: called with a sentence for each run that failed for good (embedded only).

    Raises:
        Failed: the application did not start, or could not register its functions.
        OSError: a port is taken.
    """
    data = settings.directory / "data"
    data.mkdir(parents=True, exist_ok=True)
    real = settings.real
    async with contextlib.AsyncExitStack() as stack:
        door = await stack.enter_async_context(Door(real.url)) if real else None
        plan = Plan(
            directory=settings.directory,
            inngest_url=door.url if door else None,
            sqs_port=settings.sqs_port,
            inngest_port=settings.inngest_port,
            settings=(_TRACED if tracing.enabled() else {}) | (real.of_the_relay() if real else {}),
        )
        environment = await stack.enter_async_context(local_environment(plan))
        registry = stack.enter_context(Registry())
        variables = real.of_the_application() if real else _embedded(environment, registry)
        url = await stack.enter_async_context(_application(settings, data, variables))
        await _register(url)
        orchestrator: Orchestrator
        if environment.inngest is None:
            assert door is not None  # noqa: S101 - without the embedded server there is a real one
            orchestrator = door
        else:
            orchestrator = executor = Executor(environment.inngest, registry.functions, failures)
            await stack.enter_async_context(_running(executor))
        library = stack.enter_context(contextlib.closing(Library(data / "sermons.sqlite")))
        uploader = Uploader(environment.client, environment.queue_url, data / "bucket")
        yield Servers(
            environment=environment,
            orchestrator=orchestrator,
            library=library,
            uploader=uploader,
            url=url,
        )


def _embedded(environment: Environment, registry: Registry) -> dict[str, str]:
    assert environment.inngest is not None  # noqa: S101 - no other orchestrator was asked for
    return {
        "INNGEST_DEV": "1",
        "INNGEST_EVENT_API_BASE_URL": environment.inngest.url,
        "INNGEST_API_BASE_URL": registry.url,
    }


@contextlib.asynccontextmanager
async def _application(
    settings: Settings, data: Path, variables: Mapping[str, str]
) -> AsyncIterator[str]:
    """Run the application as a process of its own; its address."""
    port = settings.port or free_port()
    arguments = ("serve", "--port", str(port), "--data", str(data))
    limits = (
        "--processors",
        str(settings.processors),
        "--remind-after",
        str(settings.remind_after),
    )
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("INNGEST_")}
    log = settings.directory / "application.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sermons",
            *arguments,
            *limits,
            env=inherited | dict(variables),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        await _until_healthy(url, process, log)
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _until_healthy(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            async with asyncio.timeout(_START):
                while True:
                    with contextlib.suppress(httpx.TransportError):
                        if (await client.get(f"{url}/health")).status_code == httpx.codes.OK:
                            return
                    if process.returncode is not None:
                        raise Failed(f"the application ended:\n{_last_output(log)}")
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            text = f"the application has not answered for {_START:g} s:\n{_last_output(log)}"
            raise Failed(text) from None


def _last_output(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:] or "(it has printed nothing)"


async def _register(url: str) -> None:
    """Have the application register its functions with the orchestrator."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        reply = await client.put(f"{url}/api/inngest")
    if reply.status_code != httpx.codes.OK:
        raise Failed(f"the functions could not be registered: {reply.text[:500]}")


@contextlib.asynccontextmanager
async def _running(executor: Executor) -> AsyncIterator[None]:
    task = asyncio.create_task(executor.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
