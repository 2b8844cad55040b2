"""`relay` whose observers can be told, while it runs, to listen to less.

No setting takes them away, since what happened must be told. Only the benchmark does, to know what
telling costs: in one process, for two processes of the same program differ by more than that.

The file that `BENCH_HEARING` names says what to listen to: `all`, `problems` (as the setting
`RELAY_LOG_MESSAGES` names them) or `nothing`. It is read at each SIGUSR1, and taken away to say so.
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


class Nobody(Observers):
    """Listens to nothing."""

    def observe(self, fact: Fact) -> None:
        """Do nothing with it."""


class Switched(LogObserver):
    """Writes lines of all messages, or of those with problems, as it is told."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        observers.append(self)

    def choose(self, written: str) -> None:
        """Take this for `RELAY_LOG_MESSAGES` from now on."""
        self._message_filter = message_filter(written)


observers: list[Switched] = []
_OBSERVE = Observers.observe.__code__


def change(*_: object) -> None:
    """Listen to what the file says."""
    file = Path(os.environ["BENCH_HEARING"])
    hearing = file.read_text()
    # The code of the function itself: what asks each time whether to listen costs something, too.
    Observers.observe.__code__ = Nobody.observe.__code__ if hearing == "nothing" else _OBSERVE
    for one in observers:
        one.choose("problems" if hearing == "nothing" else hearing)
    file.unlink()


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, change)
    telemetry.LogObserver = Switched  # type: ignore[attr-defined]  # where the wiring looks for it
    main()
