"""Processes that write lines to one file, which they rotate, and to standard output.

`log_writers.py FILE PROCESSES LINES`
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from relay.telemetry.log_writer import LineWriter, LogFile, OutputLock

MAX_BYTES = 150_000
ROUND = 20


def write(path: Path, number: int, lines: int, lock: OutputLock) -> None:
    """Write numbered lines, each longer than a pipe writes as a whole, many at a time."""
    file = LogFile(path, max_bytes=MAX_BYTES)
    outputs = [
        LineWriter(lock.around(partial(write_all, 1), 0)),
        LineWriter(lock.around(file.write, 1)),
    ]
    for first in range(0, lines, ROUND):
        for line in range(first, first + ROUND):
            for output in outputs:
                output.take(f"{number} {line} {'x' * 200}".encode())
        for output in outputs:
            output.flush()
    for output in outputs:
        output.close(60.0)
    file.close()


def write_all(descriptor: int, text: bytes) -> None:
    """Write as a stream does: in pieces, if the pipe takes no more at a time."""
    while text:
        text = text[os.write(descriptor, text[:1_000]) :]


def main() -> None:
    path, processes, lines = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    lock = OutputLock()
    pids = []
    for number in range(processes):
        pid = os.fork()
        if pid == 0:
            write(path, number, lines, lock)
            os._exit(0)
        pids.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    sys.exit(max(codes))


if __name__ == "__main__":
    main()
