"""The core's timers."""

from __future__ import annotations

import asyncio

import pytest

from relay.app.core import _every


async def test_a_timer_goes_on_after_a_call_that_raised(caplog: pytest.LogCaptureFixture) -> None:
    calls = 0
    again = asyncio.Event()

    def call() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise KeyError("a defect of ours")
        again.set()

    async with _every(lambda: 0.0, call), asyncio.timeout(20):
        await again.wait()
    (record,) = caplog.records
    assert "is called again in 0 s" in record.getMessage()
    assert record.exc_info is not None
