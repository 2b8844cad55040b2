"""Traces an event for the console, and links its entries to the orchestrator's own pages."""

from __future__ import annotations

import time
from urllib.parse import quote

from relay.app.trace import TraceOptions, configured_logs, trace_event
from relay.console.snapshots import Loaded, Snapshots
from relay.ops.trace.dead_letters import DeadLetterSource
from relay.ops.trace.timeline import KnownIds, SourceResult, TimelineEntry, Trace
from relay.settings.model import Settings

SINCE = 14 * 86_400.0
"""Seconds that a trace goes back, as `relay trace` does by default."""

MOST = 500
"""Dead letters that are looked at for one id; a short one is a part of many others."""

CLOUD = "https://app.inngest.com"
"""The pages of Inngest Cloud (its repository, ui/apps/dashboard/src/utils/urls.ts)."""


class IndexedDeadLetters:
    """The dead letters of a snapshot as a source, found by its index instead of by reading it."""

    def __init__(self, snapshots: Snapshots, loaded: Loaded) -> None:
        self.name = loaded.path.name
        self._snapshots = snapshots
        self._loaded = loaded

    async def find(self, known: KnownIds) -> SourceResult:
        """Find the dead letters of the traced event."""
        loaded = self._loaded
        terms = sorted(known.search_terms())
        found = [await loaded.index.with_id_like(term, MOST) for term in terms]
        messages = {message.message_id: message for some in found for message in some}
        async with self._snapshots.reader(loaded) as reader:
            source = DeadLetterSource(
                self.name,
                list(messages.values()),
                reader.read,
                loaded.head.retention,
                unread=reader.unread,
                fifo=loaded.head.fifo,
                left=loaded.end.left if loaded.end else 0,
            )
            return await source.find(known)


async def trace(settings: Settings, snapshots: Snapshots, ident: str, name: str | None) -> Trace:
    """The trace of an event: from the log, the current snapshot, the ledger and the orchestrator.

    Nothing is received from a queue.
    """
    current = snapshots.current
    options = TraceOptions(name=name, since=time.time() - SINCE, logs=configured_logs(settings))
    more = [IndexedDeadLetters(snapshots, current)] if current else []
    return await trace_event(ident, settings, options, more)


def link_to(settings: Settings, entry: TimelineEntry) -> str | None:
    """The address of the event or run on the orchestrator's own pages; None if it has none.

    A self-hosted server has its pages at the address of its event API (its repository,
    ui/apps/dev-server-ui/src/routes).
    """
    if "inngest" not in settings.destinations:
        return None
    run, reference = (entry.details.get(name) for name in ("run_id", "reference"))
    environment = quote(settings.inngest_env or "production", safe="")
    if isinstance(run, str) and run:
        ident = quote(run, safe="")
        here = f"{settings.inngest_url}/run?runID={ident}"
        return f"{CLOUD}/env/{environment}/runs/{ident}" if settings.cloud else here
    if isinstance(reference, str) and reference and entry.source == "inngest":
        ident = quote(reference, safe="")
        here = f"{settings.inngest_url}/event?eventID={ident}"
        return f"{CLOUD}/env/{environment}/events/{ident}" if settings.cloud else here
    return None
