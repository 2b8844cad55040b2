"""Builds the ledger around the forwarder, if the settings name a table."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable

from relay.app.destinations.traits import traits_lookup
from relay.aws.dynamodb import open_table
from relay.aws.errors import AwsError
from relay.aws.references import parse_reference
from relay.aws.session import SharedSession
from relay.delivery.ledger import (
    Attempts,
    Ledger,
    LedgerEntries,
    RecordingDestination,
    Table,
    TableAccess,
)
from relay.delivery.ledger.id_rule import IdRule, IdRuleRecord
from relay.delivery.ledger.table import KEY
from relay.model.destination import Destination, Forward
from relay.model.event import Event
from relay.model.facts import Fact, Observe, Received
from relay.settings.model import Settings

OPENING = 5.0
"""Seconds for which the start waits at most for credentials and the client."""


def ledger_scope(settings: Settings) -> tuple[str, str]:
    """The destination and environment under which the ledger's entries are stored and found.

    With routes it is all destinations together, so that an event that was delivered to one of them
    is not delivered again because its route has changed.
    """
    if settings.routes:
        return "routes", ""
    if settings.destination == "inngest":
        return f"inngest {settings.inngest_url}", settings.inngest_env or ""
    return f"{settings.destination} {_address(settings)}", ""


def _address(settings: Settings) -> str:
    """Distinguishes this destination from others of its kind. Contains no secret."""
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
        case "webhook":
            return _webhook_address(settings)
        case _:
            # With another destination's address the two would skip each other's events.
            raise AssertionError(f"{settings.destination} has no address in the ledger")
    return " ".join(part or "" for part in parts)


def _webhook_address(settings: Settings) -> str:
    url = settings.webhook_url.get_secret_value() if settings.webhook_url else ""
    return settings.webhook_url_secret or hashlib.sha256(url.encode()).hexdigest()


class LedgerWiring:
    """Puts the ledger around destinations, forwarder and observer; without a table it adds nothing.

    Args:
        entries: the ledger's entries; None without a table.
        memory: seconds for which an event's destination certainly recognises its id.
        observe: gets all facts.
        id_rule: follows the rule for ids, from the first message on.
    """

    def __init__(
        self,
        entries: LedgerEntries | None,
        memory: Callable[[Event], float],
        observe: Observe,
        id_rule: IdRuleRecord | None = None,
    ) -> None:
        self._entries = entries
        self._id_rule = id_rule
        self._unnamed = id_rule
        self._memory = memory
        self._observe = observe
        self._attempts = Attempts()
        self._ledger: Ledger | None = None

    def wrap(self, destination: Destination) -> Destination:
        """The destination, with its requests recorded."""
        if self._entries is None:
            return destination
        return RecordingDestination(destination, self._entries, self._attempts)

    def wrap_forwarder(self, forward: Forward) -> Forward:
        """Forwards only what was not delivered before. `forward` must send through `wrap`."""
        if self._entries is None:
            return forward
        self._ledger = Ledger(
            forward, self._entries, self._attempts, memory=self._memory, observe=self._observe
        )
        return self._ledger

    @property
    def warning(self) -> str | None:
        """What a person should know about the ids of this queue's messages, as a sentence."""
        return self._id_rule.warning if self._id_rule is not None else None

    def attempted(self, event: Event) -> float | None:
        """When the event was first sent, if the end of that attempt is unknown."""
        attempt = self._attempts.of(event)
        return attempt.first_at if attempt is not None and attempt.may_have_run else None

    @property
    def observe(self) -> Observe:
        """Passes facts on, and records dead letters. Ask once: most relays have no ledger."""
        return self._observe if self._entries is None else self._record

    def _record(self, fact: Fact) -> None:
        self._observe(fact)
        if self._unnamed is not None and isinstance(fact, Received):
            self._unnamed.follow(fact.message.queue)
            self._unnamed = None
        if self._ledger is not None:
            self._ledger.observe(fact)

    async def drain(self, seconds: float) -> None:
        """Wait for the open writes, for at most so many seconds."""
        if self._ledger is not None:
            await self._ledger.drain(seconds)


@contextlib.asynccontextmanager
async def open_ledger(
    settings: Settings, session: SharedSession, observe: Observe, *, from_command: bool = False
) -> AsyncIterator[LedgerWiring]:
    """The ledger for as long as the block runs, if the settings name one.

    The rule for ids is compared with the recorded one beside it, but not `from_command`: an
    operator's machine may have other settings than the relay.
    """
    memory = _memory(settings)
    if settings.ledger_table is None:
        yield LedgerWiring(None, memory, observe)
        return
    destination, environment = ledger_scope(settings)
    async with open_table(session, settings.ledger_table, key=KEY) as table:
        # The first messages after a crash are those that need the ledger most.
        with contextlib.suppress(AwsError, TimeoutError):
            await asyncio.wait_for(table.ready(), OPENING)
        entries = LedgerEntries(
            table,
            TableAccess(observe=observe),
            destination=destination,
            environment=environment,
            kept=settings.queue_retention + settings.dlq_retention,
            observe=observe,
        )
        id_rule = None if from_command else _follow_id_rule(settings, table)
        try:
            yield LedgerWiring(entries, memory, observe, id_rule)
        finally:
            await entries.aclose()
            if id_rule is not None:
                await id_rule.aclose()


def _follow_id_rule(settings: Settings, table: Table) -> IdRuleRecord:
    record = IdRuleRecord(
        table,
        IdRule(settings.id_attribute, settings.id_path, settings.fifo_dedup_id),
        ledger_scope(settings),
        kept=settings.queue_retention + settings.dlq_retention,
        retention=settings.queue_retention,
    )
    if settings.queue_url is not None:
        with contextlib.suppress(AwsError):  # the first message tells its queue too
            record.follow(parse_reference(settings.queue_url).name)
    return record


def _memory(settings: Settings) -> Callable[[Event], float]:
    """Seconds for which an event's destination certainly recognises its id."""
    find = traits_lookup(settings)

    def of(event: Event) -> float:
        traits = find(event.name)
        return 0.0 if traits is None else traits.safe_repeat_window

    return of
