"""Runs a program to its end, and says what that took."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.accounting import peak_bytes
from bench.server_process import BenchmarkFailed, Cpus, on_cpus

SAMPLE = 0.05
"""Seconds between two looks at the peak of memory, which never falls."""


@dataclass(frozen=True, kw_only=True)
class Used:
    """Seconds, seconds of CPU, and the peak of memory in bytes, as last seen before the end."""

    seconds: float
    cpu: float
    peak: int


async def completed(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: Path,
    output: Path,
    cpus: Cpus,
) -> Used:
    """Run the command in this directory and wait for its end; its output goes to the file.

    Raises:
        BenchmarkFailed: its exit code is not 0.
    """
    start = time.perf_counter()
    process = _started(command, environment, directory, output, cpus)
    ended = asyncio.ensure_future(asyncio.to_thread(os.wait4, process.pid, 0))
    peak = 0
    try:
        while not ended.done():
            peak = max(peak, _peak(process.pid))
            await asyncio.wait({ended}, timeout=SAMPLE)
        _, status, used = await ended
    except asyncio.CancelledError:
        process.kill()
        raise
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        line = " ".join(command)
        raise BenchmarkFailed(f"{line} ended with {process.returncode}:\n{_last(output)}")
    return Used(seconds=seconds, cpu=used.ru_utime + used.ru_stime, peak=peak)


def _started(
    command: Sequence[str],
    environment: Mapping[str, str],
    directory: Path,
    output: Path,
    cpus: Cpus,
) -> subprocess.Popen[bytes]:
    with output.open("wb") as file, on_cpus(cpus):
        return subprocess.Popen(
            command,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,  # Ctrl-C reaches only us; we end the process
        )


def _peak(pid: int) -> int:
    """Its peak so far. What `wait4` reports counts the memory of this process too."""
    try:
        return peak_bytes(pid)
    except (subprocess.CalledProcessError, ValueError):
        return 0  # it has just ended


def _last(output: Path) -> str:
    return output.read_text(errors="replace")[-1_000:]
