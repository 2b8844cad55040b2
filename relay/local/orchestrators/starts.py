"""What a stand-in has started: by key, so that a key's second start is none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Starts:
    """What was started, by key, in the order of its first time; `asked` counts every request.

    Contents are the events as they were sent.
    """

    started: dict[str, bytes] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    def start(self, key: str, content: bytes) -> bool:
        """Start it unless it was; whether it was not."""
        self.asked[key] += 1
        new = key not in self.started
        self.started.setdefault(key, content)
        return new
