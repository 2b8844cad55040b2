"""A stand-in as the demonstration watches it: what it accepted, in the words of the books."""

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


class Listening(Protocol):
    """What is entered to listen, goes down, and comes back."""

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    async def __aenter__(self) -> Any: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def up(self) -> None:
        """Listen."""
        ...

    async def down(self) -> None:
        """Stop listening."""
        ...


async def _nothing() -> None:
    return


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What listens and what it started; `look` brings the latter up to date."""

    server: Listening
    starts: Starts
    settings: Callable[[], Mapping[str, str]]
    look: Callable[[], Awaitable[None]] = _nothing


class Emulator:
    """One orchestrator, started fresh. Everything that it starts runs once, at once."""

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
        """Where it listens."""
        return self._parts.server.url

    @property
    def settings(self) -> dict[str, str]:
        """What makes a relay use it, once it listens."""
        return {"RELAY_DESTINATION": self._name, **self._parts.settings()}

    async def up(self) -> None:
        """Listen again."""
        await self._parts.server.up()

    async def down(self) -> None:
        """Stop listening for a while."""
        await self._parts.server.down()

    @property
    def acknowledged(self) -> Counter[str]:
        """How often it was asked to start each key."""
        return self._parts.starts.asked

    @property
    def events(self) -> list[StoredEvent]:
        """What was started, in the order of its first time."""
        return [_stored(key, content) for key, content in self._parts.starts.started.items()]

    @property
    def runs(self) -> list[Run]:
        """One run for each start: two of one event are two keys, which must not happen."""
        return [_run(event) for event in self.events]

    async def settled(self) -> None:
        """Return when all that was accepted is known."""
        await self._parts.look()


def _parts(name: str) -> _Parts:
    if name == "temporal":
        frontend = Frontend()
        return _Parts(server=frontend, starts=frontend.starts, settings=lambda: frontend.settings)
    if name == "bullmq":
        jobs = JobQueue()
        return _Parts(
            server=jobs, starts=jobs.starts, settings=lambda: jobs.settings, look=jobs.look
        )
    api = APIS[name]()
    server = Server(api.respond)
    return _Parts(
        server=server,
        starts=api.starts,
        settings=lambda: {api.url_setting: f"{server.url}{api.path}", **api.settings},
    )


def _stored(key: str, content: bytes) -> StoredEvent:
    told: dict[str, Any] = json.loads(content)
    return StoredEvent(
        internal_id=key,
        id=told["id"],
        name=told["name"],
        data=_NOTHING,
        user=_NOTHING,
        ts=told.get("ts", 0),
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
