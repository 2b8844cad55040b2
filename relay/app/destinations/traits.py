"""What each destination promises, told from the settings alone: nobody is opened or asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from relay.destinations import argo, bullmq, prefect, step_functions, temporal, webhook
from relay.destinations.webhook_rules import PRESETS
from relay.forwarding.routing import RouteTable, parse_routes
from relay.model.traits import Traits
from relay.settings.model import Settings


def traits_lookup(settings: Settings) -> Callable[[str], Traits | None]:
    """What the destination of events of a name promises; None for a name that fits no route."""
    by_destination = {name: traits_of(settings, name) for name in settings.destinations}
    if not settings.routes:
        return lambda _name: by_destination[settings.destination]
    table = RouteTable(parse_routes(settings.routes))

    def of_route(name: str) -> Traits | None:
        destination = table.find(name)
        return None if destination is None else by_destination[destination]

    return of_route


def traits_of(settings: Settings, name: str) -> Traits:
    """What the destination of this name promises."""
    return _TRAITS[name](settings)


def _inngest(settings: Settings) -> Traits:
    """Ids for 24 hours, which nobody is told of (measured)."""
    return Traits(
        name="Inngest",
        recognised_by="the event's id",
        dedup_window=86_400.0,
        durable=settings.cloud or settings.confirms,
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
