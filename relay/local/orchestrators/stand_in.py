"""A stand-in as the demonstration watches it: what it accepted, in the words of the books."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec

from relay.local.inngest import Function, Run, StoredEvent
from relay.local.orchestrators.server import Server
from relay.local.orchestrators.stand_ins import STAND_INS

_NOTHING = msgspec.Raw(b"null")


class StandIn(Server):
    """One orchestrator's API, started fresh. Everything that it starts runs once, at once."""

    functions = (Function(name="started", on="*"),)

    def __init__(self, name: str) -> None:
        self._api = STAND_INS[name]()
        super().__init__(self._api.respond)
        self._name = name

    @property
    def settings(self) -> dict[str, str]:
        """What makes a relay use it, once it listens."""
        return {
            "RELAY_DESTINATION": self._name,
            self._api.url_setting: f"{self.url}{self._api.path}",
            **self._api.settings,
        }

    @property
    def acknowledged(self) -> Counter[str]:
        """How often it was asked to start each key."""
        return self._api.starts.asked

    @property
    def events(self) -> list[StoredEvent]:
        """What was started, in the order of its first time."""
        return [_stored(key, content) for key, content in self._api.starts.started.items()]

    @property
    def runs(self) -> list[Run]:
        """One run for each start: two of one event are two keys, which must not happen."""
        return [_run(event) for event in self.events]

    async def settled(self) -> None:
        """Nothing here takes time."""


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
        function=StandIn.functions[0].name,
        event_id=event.id,
        event_name=event.name,
        internal_id=event.internal_id,
        data=_NOTHING,
        ts=event.ts,
        at=0.0,
    )
