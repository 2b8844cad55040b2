"""Traces an event for the console, and links its entries to the orchestrator's own pages."""

from __future__ import annotations

import time
from dataclasses import replace
from urllib.parse import quote

from relay.app.trace import TraceOptions, configured_logs, trace_event
from relay.console.snapshots import Snapshots
from relay.dlq.snapshot import Unreadable
from relay.ops.trace.timeline import TimelineEntry, Trace
from relay.settings.model import Settings

SINCE = 14 * 86_400.0
"""Seconds that a trace goes back, as `relay trace` does by default."""

CLOUD = "https://app.inngest.com"
"""The pages of Inngest Cloud (its repository, ui/apps/dashboard/src/utils/urls.ts)."""


async def trace(settings: Settings, snapshots: Snapshots, ident: str, name: str | None) -> Trace:
    """The trace of an event: from the log, the current snapshot, the ledger and the orchestrator.

    Nothing is received from a queue.
    """
    current = snapshots.current
    options = TraceOptions(
        name=name,
        since=time.time() - SINCE,
        logs=configured_logs(settings),
        snapshots=[current.path] if current else (),
    )
    try:
        return await trace_event(ident, settings, options)
    except Unreadable as error:
        found = await trace_event(ident, settings, replace(options, snapshots=()))
        return replace(found, gaps=(*found.gaps, ("snapshot", str(error))))


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
