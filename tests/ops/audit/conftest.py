"""A server with functions that complete, fail, run, wait, are cancelled or take batches."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from relay.destinations.inngest.queries import InngestQueries
from relay.dlq.safeguards import RateLimit
from relay.local.inngest import Function, InngestServer
from relay.model.event import Event
from relay.model.message import Message
from relay.model.outcome import Delivered
from relay.ops.audit.accepted import AcceptedSource, EventList, LogFiles, Scope
from relay.ops.audit.audit import Audit
from relay.ops.audit.report import AuditReport
from relay.ops.audit.requests import BoundedRequests
from relay.ops.audit.state import AuditState
from relay.ops.inngest_api import InngestApi, Queries
from tests.ops.doctor.conftest import aws, models  # noqa: F401 - fixtures of the same world
from tests.ops.trace.conftest import outcome_line

SIGNING_KEY = "00ff00ff00ff00ff"
FUNCTIONS = (
    Function(name="completes", on="media/uploaded", app="media"),
    Function(name="fails", on="media/broken", app="media", fails=True),
    Function(name="also-fails", on="media/two", app="media", fails=True),
    Function(name="also-completes", on="media/two", app="media"),
    Function(name="runs", on="media/long", app="media", seconds=10_000.0),
    Function(
        name="cancelled", on="media/stopped", app="media", cancelled=True, cancel_on="media/stop"
    ),
    Function(name="batched", on="media/batched", app="media", batched=True, size=5, wait=0.0),
    Function(name="any-shop", on="shop/*", app="shop"),
)


@dataclass
class World:
    """The server, and audits of it."""

    server: InngestServer
    directory: Path
    clock: Callable[[], float] = time.time

    async def post(self, *events: dict[str, Any]) -> list[str]:
        """Send events as the relay does; the server's ids of them."""
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            answer = await client.post(f"{self.server.url}/e/key", json=events)
        ids: list[str] = answer.json()["ids"]
        return ids

    def queries(self) -> InngestQueries:
        return InngestQueries(self.server.url, signing_key=SIGNING_KEY)

    async def audit(
        self,
        *,
        names: Sequence[str] = (),
        logs: Iterable[Path] = (),
        signals: Sequence[str] = (),
        state: str = "audit.state",
        stop: asyncio.Event | None = None,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
        queries: Queries | None = None,
        source: AcceptedSource | None = None,
    ) -> AuditReport:
        """One audit of the last hour."""
        now = time.time()
        scope = Scope(since=now - 3600, until=now + 3600, names=tuple(names))
        async with self.queries() as opened:
            requests = BoundedRequests(queries or opened, RateLimit(None), sleep=at_once)
            paths = list(logs)
            chosen = source or (LogFiles(paths) if paths else EventList(InngestApi(requests)))
            with AuditState(self.directory / state, {"names": list(names)}, {}) as kept:
                audit = Audit(
                    requests,
                    chosen,
                    scope,
                    kept,
                    stop=stop or asyncio.Event(),
                    signals=signals,
                    clock=self.clock,
                )
                return await audit.run(progress)


async def at_once(_seconds: float) -> None:
    """Do not wait, but let other tasks run."""
    await asyncio.sleep(0)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with InngestServer(
        functions=FUNCTIONS, mode="start", event_keys=["key"], signing_key=SIGNING_KEY
    ) as server:
        yield World(server, tmp_path)


@pytest.fixture
def settings(world: World) -> dict[str, str]:
    return {
        "RELAY_INNGEST_URL": world.server.url,
        "RELAY_INNGEST_EVENT_KEY": "key",
        "RELAY_INNGEST_SIGNING_KEY": SIGNING_KEY,
    }


def log_lines(*deliveries: tuple[str, str, str | None], at: float | None = None) -> str:
    """The relay's log lines about delivered events: name, id and reference of each."""
    lines = []
    for name, ident, reference in deliveries:
        message = Message(body=b"{}", message_id=f"m-{ident}", queue="events")
        event, outcome = Event(ident, name, message_id=message.message_id), Delivered(reference)
        when = time.time() if at is None else at
        lines.append(outcome_line(message, outcome, (event, outcome), at=when))
    return "\n".join(lines) + "\n"


def found(report: AuditReport) -> dict[str, int]:
    """The states that there are."""
    return {state: count for state, count in report.states.items() if count}


def as_document(report: AuditReport) -> Any:
    """The report as it is printed, without what differs from run to run."""
    document = json.loads(json.dumps(report.as_json()))
    return {k: v for k, v in document.items() if k not in ("since", "until", "requests")}
