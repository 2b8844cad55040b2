"""The relay that can be told to listen to less, which tells what telemetry costs."""

from __future__ import annotations

import signal
from asyncio.subprocess import Process
from pathlib import Path

from tests.bench.saturated import pulling, until


def gone(process: Process) -> bool:
    """Whether it has ended; asks it to, and the second time not to wait for its long poll."""
    if process.returncode is None:
        process.terminate()
    return process.returncode is not None


def listen(process: Process, file: Path, hearing: str) -> None:
    """Have it listen to this; it takes the file away once it does."""
    file.write_text(hearing)
    process.send_signal(signal.SIGUSR1)


async def test_it_tells_of_messages_when_it_is_to_listen_to_all(tmp_path: Path) -> None:
    log, file = tmp_path / "relay.log", tmp_path / "hearing"
    settings = {"BENCH_HEARING": str(file), "RELAY_METRICS": "emf"}
    counts = {"nothing": 50, "all": 30, "problems": 20}
    async with pulling("bench.observed", "poll", output=log, **settings) as all_:
        await all_.consume(1)  # it runs now, and listens to all
        for hearing, messages in counts.items():
            listen(all_.process, file, hearing)
            await until(lambda: not file.exists())
            await all_.consume(messages)
        assert all_.sink.seen()["events"] == 1 + sum(counts.values())
        await until(lambda: gone(all_.process))  # its last lines and metrics are written then
    text = log.read_text()
    assert text.count('"message delivered"') == 1 + counts["all"]
    assert f'"Delivered":{1 + counts["all"] + counts["problems"]}' in text.replace(" ", "")
