"""The ledger, wired around the forwarder where the settings name a table."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable

from relay.app.destinations.traits import traits_lookup
from relay.aws.dynamodb import open_table
from relay.aws.errors import AwsError
from relay.aws.session import SharedSession
from relay.delivery.handler import Forward
from relay.delivery.ledger import Attempts, Ledger, LedgerEntries, Noting, TableAccess
from relay.delivery.ledger.table import KEY
from relay.model.destination import Destination
from relay.model.event import Event
from relay.model.facts import Fact, Observe
from relay.settings.model import Settings

OPENING = 5.0
"""Seconds that the start waits for credentials and client at most."""


def ledger_scope(settings: Settings) -> tuple[str, str]:
    """What the ledger calls the destination and its environment; whoever reads its notes too.

    With routes it is all destinations together: an event that was delivered to one of them is not
    delivered again because its route has changed.
    """
    if settings.routes:
        return "routes", ""
    if settings.destination == "inngest":
        return f"inngest {settings.inngest_url}", settings.inngest_env or ""
    return f"{settings.destination} {_address(settings)}", ""


def _address(settings: Settings) -> str:
    """What tells this destination from others of its kind, free of secrets."""
    match settings.destination:
        case "step-functions":
            return settings.step_functions_arn or ""
        case "temporal":
            parts = (settings.temporal_address, settings.temporal_namespace)
        case "prefect":
            parts = (settings.prefect_api_url, settings.prefect_deployment or "")
        case "argo":
            parts = (settings.argo_url, f"{settings.argo_namespace}/{settings.argo_template}")
        case "bullmq":
            parts = (settings.bullmq_prefix, settings.bullmq_queue or "")
        case _:
            return _hook(settings)
    return " ".join(part or "" for part in parts)


def _hook(settings: Settings) -> str:
    given = settings.webhook_url.get_secret_value() if settings.webhook_url else ""
    return settings.webhook_url_secret or hashlib.sha256(given.encode()).hexdigest()


class Bookkeeping:
    """What the other parts are given: themselves, where there is no ledger."""

    def __init__(
        self, records: LedgerEntries | None, memory: Callable[[Event], float], observe: Observe
    ) -> None:
        self._records = records
        self._memory = memory
        self._observe = observe
        self._attempts = Attempts()
        self._ledger: Ledger | None = None

    def wrap(self, destination: Destination) -> Destination:
        """The destination, its requests noted."""
        if self._records is None:
            return destination
        return Noting(destination, self._records, self._attempts)

    def before(self, forward: Forward) -> Forward:
        """What forwards only what was not delivered yet. Its end must be what `around` gave."""
        if self._records is None:
            return forward
        self._ledger = Ledger(
            forward, self._records, self._attempts, memory=self._memory, observe=self._observe
        )
        return self._ledger

    def observe(self, fact: Fact) -> None:
        """Tell the observer, and note what was dead-lettered."""
        self._observe(fact)
        if self._ledger is not None:
            self._ledger.detail(fact)

    async def drain(self) -> None:
        """Wait for the last notes; that is seconds at most."""
        if self._ledger is not None:
            await self._ledger.drain()


@contextlib.asynccontextmanager
async def bookkeeping(
    settings: Settings, session: SharedSession, observe: Observe
) -> AsyncIterator[Bookkeeping]:
    """A ledger if the settings name one, for as long as the block runs. It is not called yet."""
    memory = _memory(settings)
    if settings.ledger_table is None:
        yield Bookkeeping(None, memory, observe)
        return
    destination, environment = ledger_scope(settings)
    async with open_table(session, settings.ledger_table, key=KEY) as table:
        # What comes first after a crash is what the ledger is for: it should not miss that.
        with contextlib.suppress(AwsError, TimeoutError):
            await asyncio.wait_for(table.ready(), OPENING)
        records = LedgerEntries(
            table,
            TableAccess(observe=observe),
            destination=destination,
            environment=environment,
            kept=settings.queue_retention + settings.dlq_retention,
            observe=observe,
        )
        try:
            yield Bookkeeping(records, memory, observe)
        finally:
            await records.aclose()


def _memory(settings: Settings) -> Callable[[Event], float]:
    """For how many seconds an event's destination surely knows it again."""
    find = traits_lookup(settings)

    def of(event: Event) -> float:
        traits = find(event.name)
        return 0.0 if traits is None else traits.safe_repeat_window

    return of
