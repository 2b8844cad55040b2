"""CPU time and memory of a process, as counted by the operating system."""

from __future__ import annotations

import contextlib
import platform
import re
import subprocess
import time
from pathlib import Path

_SCHEDULED = 2
"""Linux's clock of the scheduler's CPU time: exact, whereas ticks are 10 ms."""


def cpu_seconds(pid: int) -> float:
    """User and system time so far, of all threads."""
    if platform.system() == "Linux":
        return time.clock_gettime(~pid << 3 | _SCHEDULED)  # as clock_getcpuclockid(3) names it
    return _clock(_ps(pid, "time"))


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    parents = _parents()
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def _parents() -> dict[int, int]:
    """The parent of each process of this machine."""
    command = ("ps", "-A", "-o", "pid=,ppid=")
    if platform.system() != "Linux":
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return {int(one[0]): int(one[1]) for one in map(str.split, done.stdout.splitlines())}
    found = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            found[int(file.parent.name)] = int(file.read_text().rpartition(")")[2].split()[1])
    return found


def resident_bytes(pid: int) -> int:
    """Memory in use now."""
    return _status(pid, "VmRSS") or int(_ps(pid, "rss")) * 1_024


def peak_bytes(pid: int) -> int:
    """The peak of memory in use; the memory in use now if the system records no peak."""
    return _status(pid, "VmHWM") or resident_bytes(pid)


def _status(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0
    found = re.search(rf"{name}:\s+(\d+) kB", status.read_text())
    return int(found[1]) * 1_024 if found else 0


def _ps(pid: int, column: str) -> str:
    command = ("ps", "-o", f"{column}=", "-p", str(pid))
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _clock(text: str) -> float:
    """Parse `[[days-]hours:]minutes:seconds` to seconds."""
    days, _, rest = text.rpartition("-")
    seconds = 0.0
    for part in rest.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + 86_400 * int(days or 0)
