"""The supervisor with real processes and signals: starts, restarts, refusals and stops."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.supervisor.supervisor import LONGEST_DELAY, SUPPORTED, restart_delay
from tests.supervisor.family import REFUSED

PATIENCE = 60.0
FAMILY = Path(__file__).with_name("family.py")

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="needs fork and sigtimedwait")


class Family:
    """The running program, and the lines that it and its processes print."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[list[Any]] = []

    async def line(self, *beginning: object) -> list[Any]:
        """The next line that begins like this."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while data := await self.process.stdout.readline():
                line: list[Any] = msgspec.json.decode(data)
                self.lines.append(line)
                if line[: len(beginning)] == list(beginning):
                    return line
        raise AssertionError(f"{beginning} is missing in {self.lines}")

    async def running(self, count: int) -> dict[int, int]:
        """The pids of so many processes that run, by number."""
        found = dict[int, int]()
        while len(found) < count:
            _, number, pid = await self.line("running")
            found[number] = pid
        return found

    async def rest(self) -> list[list[Any]]:
        """The other lines, until every process has closed its output."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            data = await self.process.stdout.read()
        self.lines += map(msgspec.json.decode, data.splitlines())
        return self.lines

    async def code(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@asynccontextmanager
async def family(
    *workers: str, reporter: str = "report", stop_within: float = 30.0
) -> AsyncIterator[Family]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(FAMILY), str(stop_within), reporter, *workers),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    found = Family(process)
    try:
        yield found
        await found.code()
    finally:
        if process.returncode is None:
            await _kill_all(found)


async def _kill_all(found: Family) -> None:
    """Leave no process behind when a test fails."""
    found.process.kill()
    for line in found.lines:
        if line[0] in ("running", "reporting"):
            with suppress(ProcessLookupError):
                os.kill(line[-1], signal.SIGKILL)
    await found.process.wait()


def gone(pid: int) -> bool:
    """Whether the process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "Z"


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the condition is in another process
            await asyncio.sleep(0.02)


def test_the_delay_doubles_with_each_early_end_up_to_a_limit() -> None:
    assert [restart_delay(n) for n in range(4)] == [0.0, 0.5, 1.0, 2.0]
    assert restart_delay(10_000) == LONGEST_DELAY


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_all_workers_in_order_and_the_reporter_last(
    number: signal.Signals,
) -> None:
    async with family("steady", "steady", "steady") as run:
        await run.running(3)
        run.signal(number)
        lines = await run.rest()
        assert await run.code() == 0
    assert sorted(line[1] for line in lines if line[0] == "finished") == [1, 2, 3]
    assert lines[-2:] == [["reported"], ["killed", 0]]


async def test_a_signal_to_the_whole_group_is_one_stop_and_not_two() -> None:
    """As Ctrl-C in a terminal, and systemd's KillMode=control-group."""
    async with family("steady", "steady") as run:
        pids = await run.running(2)
        for pid in pids.values():
            os.kill(pid, signal.SIGTERM)
        run.signal(signal.SIGTERM)
        lines = await run.rest()
        assert await run.code() == 0
    assert sorted(line[1] for line in lines if line[0] == "finished") == [1, 2]
    assert not [line for line in lines if line[0] == "released"]


async def test_the_second_signal_releases_and_the_third_kills() -> None:
    async with family("slow", "deaf") as run:
        await run.running(2)
        run.signal(signal.SIGTERM)
        await run.line("asked", 1)
        run.signal(signal.SIGTERM)
        await run.line("released", 1)
        await run.line("ended", 1, "ended with exit code 0")
        run.signal(signal.SIGTERM)
        assert (await run.rest())[-1] == ["killed", 1]
        assert await run.code() == 0


async def test_what_does_not_stop_in_time_is_killed() -> None:
    async with family("deaf", "steady", stop_within=0.5) as run:
        await run.running(2)
        run.signal(signal.SIGTERM)
        lines = await run.rest()
        assert await run.code() == 0
    assert lines[-2:] == [["reported"], ["killed", 1]]
    assert ["finished", 2] in lines


async def test_a_killed_worker_is_started_again_and_the_others_go_on() -> None:
    async with family("steady", "steady") as run:
        pids = await run.running(2)
        os.kill(pids[1], signal.SIGKILL)
        assert await run.line("ended", 1) == ["ended", 1, "was ended by signal 9", 0.5]
        again = (await run.line("running", 1))[2]
        assert again != pids[1]
        assert not gone(pids[2])
        run.signal(signal.SIGTERM)
        assert (await run.rest())[-1] == ["killed", 0]


async def test_a_worker_that_crashes_again_and_again_is_started_ever_more_rarely() -> None:
    async with family("crash", "steady") as run:
        delays = [(await run.line("ended", 1, "ended with exit code 1"))[3] for _ in range(3)]
        assert delays == [0.5, 1.0, 2.0]
        assert ["error", "RuntimeError: process 1 is broken"] in run.lines
        run.signal(signal.SIGTERM)  # while it waits for a restart
        assert (await run.rest())[-1] == ["killed", 0]
        assert await run.code() == 0


async def test_a_killed_reporter_is_started_again_and_told_why() -> None:
    async with family("steady") as run:
        pid = (await run.line("reporting"))[1]
        os.kill(pid, signal.SIGKILL)
        assert await run.line("ended", 0) == ["ended", 0, "was ended by signal 9", 0.5]
        run.signal(signal.SIGTERM)
        assert (await run.rest())[-2:] == [["reported"], ["killed", 0]]


@pytest.mark.parametrize("workers", [("refuse", "steady"), ("refuse", "refuse", "refuse")])
async def test_a_refusal_stops_all_and_is_said_once(workers: tuple[str, ...]) -> None:
    async with family(*workers) as run:
        lines = await run.rest()
        assert await run.code() == REFUSED
    assert [line for line in lines if line[0] == "refused"] == [["refused", "the queue is wrong"]]
    assert lines.count(["finished", 2]) == workers.count("steady")


async def test_a_refusal_of_the_reporter_stops_all() -> None:
    async with family("steady", "steady", reporter="refuse") as run:
        await run.rest()
        assert await run.code() == REFUSED


async def test_workers_stop_in_order_when_the_supervisor_is_killed() -> None:
    async with family("steady", "steady") as run:
        pids = await run.running(2)
        run.process.kill()
        lines = await run.rest()
        await until(lambda: all(map(gone, pids.values())))
    assert sorted(line[1] for line in lines if line[0] == "finished") == [1, 2]
    assert lines[-1] == ["reported"]


async def test_a_hangup_without_a_terminal_ends_nothing() -> None:
    async with family("steady") as run:
        await run.running(1)
        run.signal(signal.SIGHUP)
        run.signal(signal.SIGTERM)
        lines = await run.rest()
        assert await run.code() == 0
    assert lines.count(["finished", 1]) == 1
