"""Everything that the example needs on this machine: queue, relay, orchestrator, application.

The orchestrator is the relay's embedded event API with an executor, or a real Inngest server that
runs already.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from relay.local.environment import Environment, Plan, local_environment
from relay.local.processes import RelayProcess
from sermons import tracing
from sermons.catalog import Catalog
from sermons.story.application import Application
from sermons.story.door import Door
from sermons.story.executor import Executor
from sermons.story.registry import Registry
from sermons.uploads import Uploader

_TRACED = {"RELAY_TRACES": "otlp", "RELAY_TRACE_IN_DATA": "true"}
"""Settings of the relay with which its requests and the functions are in the upload's trace."""


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
        """The relay's settings besides the address: reading back takes the signing key, too."""
        keys = {
            "RELAY_INNGEST_EVENT_KEY": self.event_key,
            "RELAY_INNGEST_SIGNING_KEY": self.signing_key,
        }
        return {name: key for name, key in keys.items() if key}


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
    catalog: Catalog
    uploader: Uploader
    application: Application

    @property
    def url(self) -> str:
        """The page's address."""
        return self.application.url

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
async def servers(settings: Settings, say: Callable[[str], None]) -> AsyncIterator[Servers]:
    """Start everything in order, and stop it in reverse order.

    Args:
        settings: what to start.
        say: called with a sentence when the application ended, and for each run that failed for
            good (embedded only).

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
        application = Application(
            settings.port,
            data,
            {
                "processors": str(settings.processors),
                "remind-after": str(settings.remind_after),
            },
            variables=variables,
            log=settings.directory / "application.log",
            say=say,
        )
        await stack.enter_async_context(application)
        await application.register()
        orchestrator: Orchestrator
        if environment.inngest is None:
            assert door is not None  # noqa: S101 - without the embedded server there is a real one
            orchestrator = door
        else:
            orchestrator = executor = Executor(environment.inngest, registry.functions, say)
            await stack.enter_async_context(_running(executor))
        catalog = stack.enter_context(contextlib.closing(Catalog(data / "sermons.sqlite")))
        uploader = Uploader(environment.client, environment.queue_url, data / "bucket")
        yield Servers(
            environment=environment,
            orchestrator=orchestrator,
            catalog=catalog,
            uploader=uploader,
            application=application,
        )


def _embedded(environment: Environment, registry: Registry) -> dict[str, str]:
    assert environment.inngest is not None  # noqa: S101 - no other orchestrator was asked for
    return {
        "INNGEST_DEV": "1",
        "INNGEST_EVENT_API_BASE_URL": environment.inngest.url,
        "INNGEST_API_BASE_URL": registry.url,
    }


@contextlib.asynccontextmanager
async def _running(executor: Executor) -> AsyncIterator[None]:
    task = asyncio.create_task(executor.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
