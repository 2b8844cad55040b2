"""Function calls per message: a figure that does not depend on other load on the machine."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.bench.saturated import Pulling, pulling, until

WARM_UP = 600
MESSAGES = 1_000

MOST = 137
"""3 % above the count on Python 3.11, which varies by less than 1 %; newer versions make fewer."""


async def test_a_message_costs_few_function_calls(tmp_path: Path) -> None:
    file = tmp_path / "calls"
    async with pulling("bench.counted", str(file), "poll", output=tmp_path / "relay.log") as relay:
        await relay.consume(WARM_UP)
        await send_signal(relay, signal.SIGUSR1, file)
        await relay.consume(MESSAGES)
        await send_signal(relay, signal.SIGUSR2, file)
    assert int(read(file)) / MESSAGES <= MOST


async def send_signal(relay: Pulling, number: signal.Signals, file: Path) -> None:
    """Send the signal and wait until it is handled: the file changes."""
    before = read(file)
    relay.process.send_signal(number)
    await until(lambda: read(file) not in ("", before))


def read(file: Path) -> str:
    return file.read_text() if file.exists() else ""
