"""How long a server takes from accepting an event to storing it, as learned from looking."""

from __future__ import annotations

SHORTEST = 0.02
LONGEST = 4.0
"""Seconds: bounds of the first wait. Then a look follows whenever the age has grown by a sixth."""

LONGEST_PAUSE = 5.0
_SHARE = 0.2


class ReadLag:
    """When to look next for what was accepted a while ago. Pure; ages are in seconds."""

    def __init__(self) -> None:
        self._usual = SHORTEST

    def next_look(self, age: float) -> float:
        """The age at which to look, for what is of this age and was not there yet."""
        if age < self._usual:
            return self._usual
        return age + min(max(age / 6, SHORTEST), LONGEST_PAUSE)

    def learn(self, missed: float, found: float) -> None:
        """What was not there at one age (0 if nobody looked) was there at the other."""
        halfway = (missed + found) / 2
        usual = (1 - _SHARE) * self._usual + _SHARE * halfway
        self._usual = min(max(usual, SHORTEST), LONGEST)
