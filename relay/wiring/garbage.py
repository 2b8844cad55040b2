"""The garbage collector, set for a process that lives long and makes little garbage in cycles.

Tasks, messages and events are freed by their reference counts. With Python's defaults the collector
looked through all that was imported and all in hand every few hundred messages and found nothing:
half of a message's CPU (docs/performance.md).
"""

from __future__ import annotations

import gc

YOUNG = 50_000
"""Objects made and not freed until the collector looks: a few megabytes, should all be garbage."""


def tame_garbage_collector() -> None:
    """Leave out for good what is there now, and look at the rest more rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
