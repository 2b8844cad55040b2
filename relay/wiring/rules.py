"""The settings that say how messages are read, as the decoder takes them."""

from __future__ import annotations

from relay.envelope import Rules
from relay.settings import Settings


def rules(settings: Settings) -> Rules:
    """How messages are read."""
    return Rules(
        envelope=settings.envelope,
        id_attribute=settings.id_attribute,
        id_path=settings.id_path,
        fifo_dedup_id=settings.fifo_dedup_id,
        max_events=settings.max_events,
        max_event_bytes=settings.max_event_bytes,
        task_prefix=settings.task_prefix,
        trace_in_data=settings.trace_in_data,
    )
