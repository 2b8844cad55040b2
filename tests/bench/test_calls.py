"""Function calls per message: a figure that does not depend on other load on the machine."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.bench.saturated import Pulling, Pushing, pulling, pushing, until

Relay: TypeAlias = Pulling | Pushing

WARM_UP = 600
MESSAGES = 1_000

MOST = {"poll": 137, "serve": 187}
"""3 % above the count on Python 3.11, which varies by less than 1 %; newer versions make fewer."""


@pytest.mark.parametrize(("command", "run"), [("poll", pulling), ("serve", pushing)])
async def test_a_message_costs_few_function_calls(
    tmp_path: Path, command: str, run: Callable[..., AbstractAsyncContextManager[Relay]]
) -> None:
    file = tmp_path / "calls"
    async with run("bench.counted", str(file), command, output=tmp_path / "relay.log") as relay:
        await relay.consume(WARM_UP)
        await send_signal(relay, signal.SIGUSR1, file)
        await relay.consume(MESSAGES)
        await send_signal(relay, signal.SIGUSR2, file)
    assert int(read(file)) / MESSAGES <= MOST[command]


async def send_signal(relay: Relay, number: signal.Signals, file: Path) -> None:
    """Send the signal and wait until it is handled: the file changes."""
    before = read(file)
    relay.process.send_signal(number)
    await until(lambda: read(file) not in ("", before))


def read(file: Path) -> str:
    return file.read_text() if file.exists() else ""
