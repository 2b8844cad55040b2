"""Where a person finds what an event has started, at a destination that `relay trace` cannot query.

The destinations decide these ids (`relay.destinations`); tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from relay.destinations.single_event import hashed_id, header_id, text_id
from relay.forwarding.routing import RouteTable, parse_routes
from relay.settings.model import Settings

_THERE: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "step-functions": ("execution", hashed_id),
    "temporal": ("workflow", text_id),
    "prefect": ("flow run with idempotency key", hashed_id),
    "argo": ("workflow", hashed_id),
    "webhook": ("request with the header Idempotency-Key", header_id),
    "bullmq": ("job", hashed_id),
}


def id_there(settings: Settings, destination: str, name: str, event_id: str) -> str | None:
    """What the destination knows an event by, such as `workflow order-1`.

    None if the routes send events of this name elsewhere, or the event itself names it.
    """
    if settings.routes and RouteTable(parse_routes(settings.routes)).find(name) != destination:
        return None
    if destination == "temporal" and settings.temporal_workflow_id_path:
        return None
    what, convert = _THERE[destination]
    return f"{what} {convert(event_id)}"
