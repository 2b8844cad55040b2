"""`relay send`, interrupted: it ends at once, and says what is in the queue."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE

from tests.cli.conftest import Place
from tests.cli.test_send import lines


async def sender(environ: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay", "send", "-", "--queue", "plain"),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=environ,
    )


async def until_waiting(place: Place, count: int) -> None:
    """Once a window of messages has arrived, the command waits for the next one's."""
    async with asyncio.timeout(60):
        while len(place.stored()) < count:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)


async def test_one_interruption_ends_a_wait_for_input(
    environ: dict[str, str], place: Place
) -> None:
    process = await sender(environ)
    assert process.stdin is not None
    # A full window and a half: the second one is waited for.
    process.stdin.write(lines(120).encode())
    await process.stdin.drain()
    await until_waiting(place, 80)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        _, told = await process.communicate()
    assert process.returncode == 130
    assert "interrupted" in told.decode()
    assert "up to 80 of those that follow may be" in told.decode()
    assert b"Traceback" not in told
    assert len(place.bodies()) == 80
