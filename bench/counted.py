"""`relay` that counts its function calls, a cost which no other program on the machine changes.

    python -m bench.counted FILE poll

SIGUSR1 begins the count, SIGUSR2 ends it and writes it to the file. Calls of Python functions and
resumptions of coroutines count, in the main thread; calls of C functions do not, for each release
of Python makes others of them.
"""

from __future__ import annotations

import signal
import sys
from itertools import count
from pathlib import Path
from types import FrameType

from relay.cli import main


def counting(file: Path) -> None:
    """Let the signals begin and end the count; the file tells of both."""
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
