"""Runs `relay` and counts its function calls, a cost that other programs do not influence.

    python -m bench.counted FILE poll

SIGUSR1 starts the count, SIGUSR2 ends it and writes it to the file. It counts calls of Python
functions and resumptions of coroutines in the main thread. Calls of C functions are not counted, as
they differ between releases of Python.
"""

from __future__ import annotations

import signal
import sys
from itertools import count
from pathlib import Path
from types import FrameType

from relay.cli import main


def counting(file: Path) -> None:
    """Install the signal handlers. The file is written at the start and at the end of the count."""
    calls = count()
    one = calls.__next__

    def called(_frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            one()

    def begin(_number: int, _frame: FrameType | None) -> None:
        file.write_text("counting\n")
        sys.setprofile(called)

    def end(_number: int, _frame: FrameType | None) -> None:
        sys.setprofile(None)
        file.write_text(f"{one()}")

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)


if __name__ == "__main__":
    counting(Path(sys.argv.pop(1)))
    main()
