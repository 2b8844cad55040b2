"""The relay with a switchable telemetry level, with which the cost of telemetry is measured."""

from __future__ import annotations

import signal
from asyncio.subprocess import Process
from pathlib import Path

from tests.bench.saturated import pulling, until


def ended(process: Process) -> bool:
    """Send SIGTERM; whether it has ended. A second SIGTERM ends it without the long poll."""
    if process.returncode is None:
        process.terminate()
    return process.returncode is not None


def set_level(process: Process, file: Path, level: str) -> None:
    """Change the level; the process deletes the file once it is in effect."""
    file.write_text(level)
    process.send_signal(signal.SIGUSR1)


async def test_messages_are_logged_and_counted_by_the_level(tmp_path: Path) -> None:
    log, file = tmp_path / "relay.log", tmp_path / "level"
    settings = {"BENCH_TELEMETRY_LEVEL": str(file), "RELAY_METRICS": "emf"}
    counts = {"nothing": 50, "all": 30, "problems": 20}
    async with pulling("bench.observed", "poll", output=log, **settings) as relay:
        await relay.consume(1)  # now it runs, at the level `all`
        for level, messages in counts.items():
            set_level(relay.process, file, level)
            await until(lambda: not file.exists())
            await relay.consume(messages)
        assert relay.sink.counts()["events"] == 1 + sum(counts.values())
        await until(lambda: ended(relay.process))  # by then its last lines and metrics are written
    text = log.read_text()
    assert text.count('"message delivered"') == 1 + counts["all"]
    assert f'"Delivered":{1 + counts["all"] + counts["problems"]}' in text.replace(" ", "")
