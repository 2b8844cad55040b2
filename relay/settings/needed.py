"""What each destination cannot do without, as sentences for those who have not set it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from relay.settings.certificates import unusable

if TYPE_CHECKING:
    from relay.settings.model import Settings

_NEEDS = {
    "step-functions": ("step_functions_arn",),
    "temporal": ("temporal_address", "temporal_workflow", "temporal_task_queue"),
    "prefect": ("prefect_api_url", "prefect_deployment"),
    "argo": ("argo_url", "argo_template"),
    "webhook": ("webhook_url",),
    "bullmq": ("bullmq_url", "bullmq_queue"),
}
_EXTRAS = {"temporal": "temporalio", "bullmq": "bullmq"}


def needed(settings: Settings) -> Iterator[str]:
    """A sentence for each setting or library that a destination in use lacks."""
    for destination in settings.destinations:
        for name in _NEEDS.get(destination, ()):
            if not getattr(settings, name) and not getattr(settings, f"{name}_secret", None):
                yield f"RELAY_{name.upper()} is not set and {destination} needs it: set it"
        library = _EXTRAS.get(destination)
        if library is not None and find_spec(library) is None:
            yield (
                f"the destination {destination} needs a library that is not installed:"
                f" pip install 'sqs-relay[{destination}]'"
            )
    if bool(settings.temporal_signal) != bool(settings.temporal_entity_path):
        yield (
            "RELAY_TEMPORAL_SIGNAL and RELAY_TEMPORAL_ENTITY_PATH go together: set both, or neither"
        )
    yield from unusable(settings)
