"""The traits of each destination, from the settings alone: no connection is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from relay.destinations import argo, bullmq, prefect, step_functions, temporal, webhook
from relay.destinations.webhook_rules import PRESETS
from relay.forwarding.routing import RouteTable, parse_routes
from relay.model.traits import Traits
from relay.settings.model import Settings


def traits_lookup(settings: Settings) -> Callable[[str], Traits | None]:
    """A function from an event's name to its destination's traits; None if no route matches."""
    by_destination = {name: traits_of(settings, name) for name in settings.destinations}
    if not settings.routes:
        return lambda _name: by_destination[settings.destination]
    table = RouteTable(parse_routes(settings.routes))

    def of_route(name: str) -> Traits | None:
        destination = table.find(name)
        return None if destination is None else by_destination[destination]

    return of_route


def traits_of(settings: Settings, name: str) -> Traits:
    """The traits of the destination of this name."""
    return _TRAITS[name](settings)


def _inngest(settings: Settings) -> Traits:
    """Inngest deduplicates ids for 24 hours and does not report a duplicate (measured).

    A self-hosted server keeps them in memory, unless its queue is in an external Redis, and no
    request shows which. So it is taken to forget them when it restarts (measured, 10 of 10).
    """
    return Traits(
        name="Inngest",
        recognised_by="the event's id",
        dedup_window=86_400.0,
        durable=settings.cloud or settings.confirms,
        forgets_at_restart=not settings.cloud,
        atomic=False,
        max_batch_events=settings.batch_events,
        event_bytes=settings.max_event_bytes,
        batch_bytes=settings.batch_bytes,
    )


def _temporal(settings: Settings) -> Traits:
    signals = bool(settings.temporal_signal and settings.temporal_workflow_id_path)
    return temporal.traits(settings.temporal_retention, signals=signals)


_TRAITS: Mapping[str, Callable[[Settings], Traits]] = {
    "inngest": _inngest,
    "step-functions": lambda s: step_functions.traits(express=s.step_functions_allow_express),
    "temporal": _temporal,
    "prefect": lambda _s: prefect.TRAITS,
    "argo": lambda _s: argo.TRAITS,
    "webhook": lambda s: webhook.traits(PRESETS[s.webhook_preset], s.webhook_dedup_window),
    "bullmq": lambda s: bullmq.traits(s.bullmq_job_retention),
}
