"""The relay that nobody observes, which telemetry's cost is measured against."""

from __future__ import annotations

from asyncio.subprocess import Process
from pathlib import Path

from tests.bench.saturated import pulling, until


def gone(process: Process) -> bool:
    """Whether it has ended; asks it to, and the second time not to wait for its long poll."""
    if process.returncode is None:
        process.terminate()
    return process.returncode is not None


async def test_it_delivers_and_tells_of_no_message(tmp_path: Path) -> None:
    messages = 50
    log = tmp_path / "relay.log"
    async with pulling("bench.unobserved", "poll", output=log) as all_:
        await all_.consume(messages)
        assert all_.sink.seen()["events"] == messages
        await until(lambda: gone(all_.process))  # its last lines are written then
    text = log.read_text()
    assert "polling http" in text
    assert "message delivered" not in text
