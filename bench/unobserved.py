"""`relay` with nobody observing: what it would cost without metrics and log lines.

No setting takes the observers away, since what happened must be told; only the benchmark does, to
know what telling costs.
"""

from __future__ import annotations

from collections.abc import Callable

from relay.cli import main
from relay.facts import Fact, Observe
from relay.wiring import telemetry


def nobody(*_observers: Observe, failed: Callable[[], None]) -> Observe:
    """Stands in for `all_of`: an observer that listens to nothing."""
    del failed
    return _ignore


def _ignore(_fact: Fact) -> None:
    """Do nothing with it."""


if __name__ == "__main__":
    telemetry.all_of = nobody  # type: ignore[attr-defined]  # where the wiring looks for it
    main()
