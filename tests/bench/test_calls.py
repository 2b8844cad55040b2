"""What a message costs in function calls: a figure that no other program on the machine changes."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.bench.saturated import Pulling, pulling, until

WARM_UP = 600
MESSAGES = 1_000

MOST = 204
"""A twentieth above what is counted on Python 3.11, within 1 % each time; newer ones make fewer."""


async def test_a_message_costs_few_function_calls(tmp_path: Path) -> None:
    file = tmp_path / "calls"
    async with pulling("bench.counted", str(file), "poll", output=tmp_path / "relay.log") as all_:
        await all_.consume(WARM_UP)
        await told(all_, signal.SIGUSR1, file)
        await all_.consume(MESSAGES)
        await told(all_, signal.SIGUSR2, file)
    assert int(read(file)) / MESSAGES <= MOST


async def told(all_: Pulling, what: signal.Signals, file: Path) -> None:
    """Send the signal and wait until it was obeyed: the file changes."""
    before = read(file)
    all_.process.send_signal(what)
    await until(lambda: read(file) not in ("", before))


def read(file: Path) -> str:
    return file.read_text() if file.exists() else ""
