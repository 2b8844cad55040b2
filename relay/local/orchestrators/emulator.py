"""One interface for all emulators: start, stop, and what they have accepted and run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec

from relay.local.inngest import Function, Run, StoredEvent
from relay.local.orchestrators.apis import APIS
from relay.local.orchestrators.bullmq import JobQueue
from relay.local.orchestrators.server import Server, Starts
from relay.local.orchestrators.temporal import Frontend

_NOTHING = msgspec.Raw(b"null")


class _Server(Protocol):
    """A server that listens while entered, and can go down and come back."""

    @property
    def url(self) -> str:
        """Its address."""
        ...

    async def __aenter__(self) -> Any: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def up(self) -> None:
        """Start listening."""
        ...

    async def down(self) -> None:
        """Stop listening."""
        ...


async def _nothing() -> None:
    return


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """A server and what it has started; `refresh` brings `starts` up to date."""

    server: _Server
    starts: Starts
    settings: Callable[[], Mapping[str, str]]
    refresh: Callable[[], Awaitable[None]] = _nothing


class Emulator:
    """An emulator of one orchestrator, which runs while entered. What it starts runs at once."""

    functions = (Function(name="started", on="*"),)

    def __init__(self, name: str) -> None:
        self._name = name
        self._parts = _parts(name)

    async def __aenter__(self) -> Self:
        await self._parts.server.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._parts.server.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        """The address on which it listens."""
        return self._parts.server.url

    @property
    def settings(self) -> dict[str, str]:
        """The settings that make a relay use it. Valid once it listens."""
        return {"RELAY_DESTINATION": self._name, **self._parts.settings()}

    async def up(self) -> None:
        """Start listening again."""
        await self._parts.server.up()

    async def down(self) -> None:
        """Stop listening until `up`."""
        await self._parts.server.down()

    @property
    def acknowledged(self) -> Counter[str]:
        """How many requests to start each key it has received."""
        return self._parts.starts.attempts

    @property
    def events(self) -> list[StoredEvent]:
        """What was started, in the order of the first starts."""
        return [_stored(key, content) for key, content in self._parts.starts.started.items()]

    @property
    def runs(self) -> list[Run]:
        """One run for each key. An event that got two keys has two runs, which must not happen."""
        return [_run(event) for event in self.events]

    async def settled(self) -> None:
        """Return when `events` and `runs` include everything accepted so far."""
        await self._parts.refresh()


def _parts(name: str) -> _Parts:
    if name == "temporal":
        frontend = Frontend()
        return _Parts(server=frontend, starts=frontend.starts, settings=lambda: frontend.settings)
    if name == "bullmq":
        jobs = JobQueue()
        return _Parts(
            server=jobs, starts=jobs.starts, settings=lambda: jobs.settings, refresh=jobs.refresh
        )
    api = APIS[name]()
    server = Server(api.respond)
    return _Parts(
        server=server,
        starts=api.starts,
        settings=lambda: {api.url_setting: f"{server.url}{api.path}", **api.settings},
    )


def _stored(key: str, content: bytes) -> StoredEvent:
    event: dict[str, Any] = json.loads(content)
    return StoredEvent(
        internal_id=key,
        id=event["id"],
        name=event["name"],
        data=_NOTHING,
        user=_NOTHING,
        ts=event.get("ts", 0),
        received_at=0.0,
    )


def _run(event: StoredEvent) -> Run:
    return Run(
        run_id=event.internal_id,
        function=Emulator.functions[0].name,
        event_id=event.id,
        event_name=event.name,
        internal_id=event.internal_id,
        data=_NOTHING,
        ts=event.ts,
        at=0.0,
    )
