"""Several processes write to one log file, which they rotate, and to one pipe: no line is torn."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from relay.supervisor.supervisor import SUPPORTED
from tests.telemetry.log_writers import MAX_BYTES

SCRIPT = Path(__file__).with_name("log_writers.py")
PROCESSES, LINES = 3, 900

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="needs fork and memfd")


def numbered(lines: Iterable[str]) -> Counter[tuple[int, int]]:
    """How often each process's each line is there; a torn line raises."""
    found = Counter[tuple[int, int]]()
    for line in lines:
        process, number, rest = line.split(" ")
        assert rest == "x" * 200
        found[int(process), int(number)] += 1
    return found


def test_lines_of_several_processes_are_whole_and_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "relay.log"
    command = (sys.executable, str(SCRIPT), str(path), str(PROCESSES), str(LINES))
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    files = [path, *tmp_path.glob("relay.log.*")]
    written = "".join(file.read_text() for file in files)
    expected = {(process, line): 1 for process in range(PROCESSES) for line in range(LINES)}
    assert numbered(done.stdout.splitlines()) == expected
    assert numbered(written.splitlines()) == expected
    # Each file was filled before the next was begun, so every rotation was done once.
    sizes = sorted(file.stat().st_size for file in files)
    assert len(files) > 2
    assert all(MAX_BYTES * 0.9 < size <= MAX_BYTES for size in sizes[1:])
