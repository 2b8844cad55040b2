"""`relay trace` in a terminal: it fits, and a long text keeps its column."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ops.trace.conftest import MESSAGE, NOW, REJECT, outcome_line

STYLE = re.compile(r"\x1b\[[0-9;]*m")


async def screen(columns: int, *arguments: str, **variables: str) -> list[str]:
    """What a terminal of this width shows of a command."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RELAY_"))}
    inherited.pop("COLUMNS", None)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay", *arguments),
        stdin=slave,
        stdout=slave,
        stderr=asyncio.subprocess.PIPE,
        env={**inherited, "TERM": "xterm-256color", **variables},
    )
    os.close(slave)
    await process.communicate()
    with os.fdopen(master, "rb") as terminal:
        output = b""
        try:
            while part := terminal.read1():
                output += part
        except OSError:
            pass  # Linux reports the end of a terminal as an error
    return output.decode().splitlines()


@pytest.mark.parametrize(("columns", "dates"), [(80, 1), (120, 3)])
async def test_the_timeline_fits_and_a_long_text_keeps_its_column(
    log: Callable[..., Path], columns: int, dates: int
) -> None:
    path = log(outcome_line(MESSAGE, REJECT.__class__(REJECT.code, "too long " * 12), at=NOW))
    arguments = ("trace", MESSAGE.message_id, "--log", str(path))
    lines = [STYLE.sub("", line) for line in await screen(columns, *arguments)]
    assert max(map(len, lines)) <= columns
    assert sum(line.count("2026-05-28") for line in lines) == dates
    start = next(line for line in lines if "dead-lettered" in line).index("dead-lettered")
    rest = [line for line in lines if line.startswith(" " * start)]
    assert rest
    assert all(line[start] != " " for line in rest)


async def test_no_color_means_no_colour(log: Callable[..., Path]) -> None:
    path = log(outcome_line(MESSAGE, REJECT, at=NOW))
    arguments = ("trace", MESSAGE.message_id, "--log", str(path))
    coloured = "\n".join(await screen(80, *arguments))
    plain = "\n".join(await screen(80, *arguments, NO_COLOR="1"))
    assert "\x1b[32m" in coloured
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", plain)
