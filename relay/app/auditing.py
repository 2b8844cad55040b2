"""Audit: open the orchestrator, the source of accepted events and the state that settings name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from relay.app.destinations.reading import open_inngest
from relay.aws.dynamodb import ItemTable, open_table
from relay.aws.session import SharedSession
from relay.delivery.ledger.table import KEY
from relay.dlq.safeguards import RateLimit
from relay.ops.audit.accepted import (
    AcceptedSource,
    EventList,
    LedgerEntries,
    LogFiles,
    Scope,
)
from relay.ops.audit.audit import Audit
from relay.ops.audit.requests import CONCURRENCY, RATE, BoundedRequests
from relay.ops.audit.state import AuditState
from relay.ops.inngest_api import InngestApi
from relay.settings.model import Settings

DELIVERED = "delivered#"
"""The prefix of the keys of the ledger's entries about deliveries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOptions:
    """Which events to audit, and how fast.

    Attributes:
        scope: the time window and the names.
        logs: log files with the accepted events.
        ledger: whether the ledger has them; without it and without logs, the orchestrator's list.
        signals: patterns for the names of events that steps wait for.
        concurrency: the most requests at once.
        rate: the most requests a second.
    """

    scope: Scope
    logs: Sequence[Path] = ()
    ledger: bool = False
    signals: Sequence[str] = ()
    concurrency: int = CONCURRENCY
    rate: float = RATE


class LedgerTableScan:
    """Reads the deliveries from the ledger's table, page by page."""

    def __init__(self, table: ItemTable) -> None:
        self._table = table

    async def delivered(self, place: str) -> AsyncIterator[tuple[Sequence[tuple[str, float]], str]]:
        """The orchestrator's id and the time of each delivery, with the place after each page.

        Raises:
            AwsError: the table cannot be read.
        """
        while True:
            items, place = await self._table.scan(DELIVERED, place)
            rows = ((item.get("detail"), item.get("at")) for item in items)
            yield (
                [(ref, at) for ref, at in rows if isinstance(ref, str) and isinstance(at, float)],
                place,
            )
            if not place:
                return


@asynccontextmanager
async def open_requests(
    settings: Settings, options: AuditOptions, stop: asyncio.Event
) -> AsyncIterator[BoundedRequests]:
    """Requests to the settings' Inngest server, within the options' bounds.

    Raises:
        SourceUnavailable: a required signing key is not set or cannot be looked up, or the
            certificates to trust cannot be read.
    """
    async with await open_inngest(settings) as queries:
        limit = RateLimit(options.rate, stop=stop)
        yield BoundedRequests(queries, limit, concurrency=options.concurrency)


@asynccontextmanager
async def open_audit(
    settings: Settings, options: AuditOptions, state: AuditState, stop: asyncio.Event
) -> AsyncIterator[Audit]:
    """The audit. Raises as `open_requests` does."""
    async with AsyncExitStack() as stack:
        requests = await stack.enter_async_context(open_requests(settings, options, stop))
        source = await _source(settings, options, InngestApi(requests), stack)
        yield Audit(requests, source, options.scope, state, stop=stop, signals=options.signals)


async def _source(
    settings: Settings, options: AuditOptions, api: InngestApi, stack: AsyncExitStack
) -> AcceptedSource:
    if options.logs:
        return LogFiles(options.logs)
    if options.ledger and settings.ledger_table is not None:
        opening = open_table(SharedSession(stack), settings.ledger_table, key=KEY)
        return LedgerEntries(LedgerTableScan(await stack.enter_async_context(opening)))
    return EventList(api)
