"""Runs `relay` with a telemetry level that can be changed while it runs.

No setting turns telemetry off, as what happened must be on record. The benchmark does it to measure
what telemetry costs: within one process, as two processes of the same program differ by more.

The file named by `BENCH_TELEMETRY_LEVEL` contains the level: `all`, `problems` (as in the setting
`RELAY_LOG_MESSAGES`) or `nothing`. It is read at each SIGUSR1, and deleted once it is in effect.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from relay.app import telemetry
from relay.cli import main
from relay.model.facts import Fact
from relay.telemetry.log_observer import LogObserver, message_filter
from relay.telemetry.observers import Observers


class NoObservers(Observers):
    """Ignores all facts."""

    def observe(self, fact: Fact) -> None:
        """Do nothing."""


class SwitchableLogObserver(LogObserver):
    """A log observer whose `RELAY_LOG_MESSAGES` can be changed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        observers.append(self)

    def choose(self, log_messages: str) -> None:
        """Use this value of `RELAY_LOG_MESSAGES` from now on."""
        self._message_filter = message_filter(log_messages)


observers: list[SwitchableLogObserver] = []
_OBSERVE = Observers.observe.__code__


def change_level(*_: object) -> None:
    """Apply the level in the file."""
    file = Path(os.environ["BENCH_TELEMETRY_LEVEL"])
    level = file.read_text()
    # Replaces the code of the function itself: a check at each call would cost something, too.
    Observers.observe.__code__ = NoObservers.observe.__code__ if level == "nothing" else _OBSERVE
    for one in observers:
        one.choose("problems" if level == "nothing" else level)
    file.unlink()


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, change_level)
    telemetry.LogObserver = SwitchableLogObserver  # type: ignore[attr-defined]  # where `app` reads it
    main()
