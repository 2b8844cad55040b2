"""Evidence against a destination: two different events that fail alike, each alone."""

from __future__ import annotations


class Evidence:
    """Remembers the first witness of each kind of failure until the destination answers anybody."""

    def __init__(self) -> None:
        self._witnesses: dict[str | None, str] = {}

    def suffices(self, event_id: str, setting: str | None) -> bool:
        """This event failed alone; True when another one has failed alike before.

        Failures are alike when they speak of the same setting, or of none: an outage shows itself
        as timeouts, resets and 502s in turn.
        """
        return self._witnesses.setdefault(setting, event_id) != event_id

    def clear(self) -> None:
        """Somebody got a well-formed answer, or the case is closed."""
        self._witnesses.clear()
