"""`relay` as a process that can be killed, forked from one that has loaded everything."""

import asyncio
import os
import resource
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from relay.cli import application

_context = get_context("forkserver")
_context.set_forkserver_preload(["relay.cli.dlq", "tests.dlq.process"])


def start(
    words: Sequence[str], environ: Mapping[str, str], output: Path, *, largest: int | None = None
) -> ForkServerProcess:
    """Start it with its output in a file. No file that it writes may exceed `largest` bytes."""
    process = _context.Process(target=_run, args=(list(words), dict(environ), str(output), largest))
    process.start()
    return process


async def ended(process: ForkServerProcess) -> int:
    """Its exit code, minus the signal's number if one ended it."""
    await asyncio.to_thread(process.join)
    code = process.exitcode
    assert code is not None
    process.close()
    return code


def _run(words: list[str], environ: dict[str, str], output: str, largest: int | None) -> None:
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    os.environ.clear()
    os.environ.update(environ)
    with Path(output).open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    application(words)(words, prog_name="relay")
