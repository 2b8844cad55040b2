"""What was accepted of messages that stay for others of their events."""

from __future__ import annotations

from collections.abc import Sequence

from relay.memory import Memory
from relay.message import Delivered, Event, Outcome

REMEMBERED = 20_000
"""Events. A forgotten one is sent again under its id."""


class Accepted:
    """Remembers by message and event, so that a long wait repeats nothing beyond anybody's memory.

    An orchestrator knows an id for a day; the last event of an array may wait for longer.
    """

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._ends: Memory[Delivered] = Memory(limit)

    def of(self, event: Event) -> Delivered | None:
        """That it was accepted at an earlier delivery of its message."""
        known = self._ends.get(_key(event))
        return None if known is None else Delivered(known.reference, duplicate=True)

    def note(self, events: Sequence[Event], results: Sequence[Outcome | None]) -> None:
        """A delivery has ended: keep what was accepted if the message stays, else let go."""
        stays = any(not isinstance(result, Delivered) for result in results)
        for event, result in zip(events, results, strict=True):
            if isinstance(result, Delivered) and stays:
                self._ends.put(_key(event), result)
            elif isinstance(result, Delivered):
                self._ends.forget(_key(event))


def _key(event: Event) -> str:
    return f"{event.message_id} {event.index} {event.id}"
