"""A server's answers without a server: counted, and scripted where a test needs them to be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from relay.destinations.inngest.answers import Answer

APP = {"id": "media"}
COMPLETED = {
    "app": APP,
    "function": {"id": "completes", "name": "completes"},
    "id": "01M8PV3G6SPE8QY9JWZKWFDY3J",
    "status": "COMPLETED",
}
TRIGGERS = {
    "app": APP,
    "id": "completes",
    "configuration": {"cancellations": [{"event": "media/stop"}]},
    "triggers": [{"type": "EVENT", "value": "media/uploaded"}],
}


def listed(*data: Any) -> dict[str, Any]:
    """A list of version 2 of the API."""
    return {"data": list(data), "metadata": {"fetchedAt": "x"}, "page": {"limit": 20}}


class ScriptedQueries:
    """Answers each request by `answer`, which may raise; by default every event has completed.

    `paths` has the requests; `at_once` is the most that were under way together.
    """

    api_v2 = "/api/v2"

    def __init__(self, answer: Callable[[str], Any] | None = None) -> None:
        self.paths: list[str] = []
        self.at_once = 0
        self._under_way = 0
        self._answer = answer or usual

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        del query
        self.paths.append(path)
        self._under_way += 1
        self.at_once = max(self.at_once, self._under_way)
        try:
            await asyncio.sleep(0)
            found = self._answer(path)
        finally:
            self._under_way -= 1
        if isinstance(found, Answer):
            return found
        return Answer(200, json.dumps(found), {})


def usual(path: str) -> Any:
    """One app with one function, and a completed run of every event."""
    if path.endswith("/apps"):
        return listed(APP)
    if path.endswith("/functions"):
        return listed(TRIGGERS)
    if path.endswith("/runs"):
        return listed(COMPLETED | {"id": path})
    return {"data": None, "error": "Event not found", "status": 404}
