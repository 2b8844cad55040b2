"""`relay` with nobody observing: what it would cost without metrics and log lines.

No setting takes the observers away, since what happened must be told; only the benchmark does, to
know what telling costs.
"""

from __future__ import annotations

from relay.cli import main
from relay.facts import Fact
from relay.telemetry.observers import Observers
from relay.wiring import telemetry


class Nobody(Observers):
    """Stands in for those who observe: listens to nothing."""

    def observe(self, fact: Fact) -> None:
        """Do nothing with it."""


if __name__ == "__main__":
    telemetry.Observers = Nobody  # type: ignore[attr-defined]  # where the wiring looks for it
    main()
