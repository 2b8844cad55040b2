"""A function in child processes: answers, errors, timeouts, kills, freezing and faults.

Each rule holds with our own small runtime and with the one that AWS publishes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from relay.local.lambda_events import (
    Answer,
    Fault,
    FaultScript,
    Function,
    FunctionError,
    Throttled,
)
from relay.local.lambda_events.function import OWN_RUNTIME

ROOT = Path(__file__).parents[3]
Make: TypeAlias = Callable[..., Function]


@pytest.fixture(params=["own", "awslambdaric"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    aws = request.param == "awslambdaric"
    if aws and find_spec("awslambdaric") is None:
        pytest.skip("awslambdaric is not installed: there are files of it for Linux only")

    def create(handler: str, **options: Any) -> Function:
        return Function(
            f"tests.local.lambda_events.handlers.{handler}",
            variables={"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
            output=tmp_path / "log",
            runtime=("-m", "awslambdaric") if aws else OWN_RUNTIME,
            **{"timeout": 30.0, **options},
        )

    return create


def value(found: Answer | FunctionError) -> dict[str, Any]:
    assert isinstance(found, Answer), found
    decoded: dict[str, Any] = json.loads(found.body)
    return decoded


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def state(pid: int) -> str:
    """The process's state, as `ps` shows it: S sleeps, T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def test_the_event_and_the_deadline_arrive_and_the_process_is_used_again(make: Make) -> None:
    async with make("describe") as function:
        first = value(await function.invoke(b'{"number": 1}'))
        second = value(await function.invoke(b'{"number": 2}'))
    assert (first["event"], second["event"]) == ({"number": 1}, {"number": 2})
    assert 20_000 < first["remaining"] <= 30_000
    assert first["request_id"] != second["request_id"]
    assert (second["pid"], second["calls"]) == (first["pid"], 2)


async def test_concurrent_invocations_get_a_process_each(make: Make) -> None:
    async with make("describe") as function:
        found = await asyncio.gather(function.invoke(b"1"), function.invoke(b"2"))
        assert len({value(one)["pid"] for one in found}) == 2
        assert function.started == 2


async def test_an_exception_is_the_answer_and_leaves_the_process_alive(make: Make) -> None:
    async with make("fail") as function:
        for _ in range(2):
            found = await function.invoke(b"7")
            assert found == FunctionError("ValueError", "cannot handle 7")
        assert function.started == 1


async def test_an_invocation_that_takes_too_long_is_killed(make: Make) -> None:
    async with make("hang", timeout=0.5) as function:
        found = await function.invoke(b"{}")
        assert isinstance(found, FunctionError)
        assert found.kind == "Sandbox.Timedout"
        assert function.pids == []


async def test_a_process_that_exits_fails_its_invocation_and_the_next_one_is_new(
    make: Make,
) -> None:
    async with make("leave") as function:
        for count in (1, 2):
            found = await function.invoke(b"{}")
            assert isinstance(found, FunctionError)
            assert found.kind == "Runtime.ExitError"
            assert function.started == count


async def test_a_process_that_is_killed_in_the_middle_fails_its_invocation(make: Make) -> None:
    async with make("hang") as function:
        invoking = asyncio.create_task(function.invoke(b"{}"))
        while not function.pids:  # noqa: ASYNC110 - the process has no event to wait for
            await asyncio.sleep(0.01)
        os.kill(function.pids[0], signal.SIGKILL)
        found = await invoking
        assert isinstance(found, FunctionError)
        assert found.kind == "Runtime.ExitError"


async def test_a_handler_that_cannot_be_loaded_fails_the_invocation(make: Make) -> None:
    async with make("missing") as function:
        found = await function.invoke(b"{}")
        assert isinstance(found, FunctionError)
        assert function.pids == []


async def test_a_frozen_process_goes_on_with_the_next_invocation(make: Make) -> None:
    async with make("describe", freeze=True) as function:
        first = value(await function.invoke(b"1"))
        while state(first["pid"]) != "T":  # noqa: ASYNC110 - a signal takes a moment
            await asyncio.sleep(0.01)
        assert value(await function.invoke(b"2"))["calls"] == 2
        pid = first["pid"]
    assert not exists(pid)


async def test_without_reserved_concurrency_left_an_invocation_is_throttled(make: Make) -> None:
    async with make("hang", timeout=5.0, reserved_concurrency=1) as function:
        first = asyncio.create_task(function.invoke(b"{}"))
        while not function.busy:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.01)
        with pytest.raises(Throttled):
            await function.invoke(b"{}")
        await function.kill()
        assert isinstance(await first, FunctionError)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("kill", "Runtime.ExitError"),
        ("time-out", "Sandbox.Timedout"),
        ("lose-answer", "Runtime.ExitError"),
    ],
)
async def test_a_fault_ends_the_invocation_and_its_process(
    make: Make, kind: Any, error: str
) -> None:
    handler = "describe" if kind == "lose-answer" else "hang"
    faults = FaultScript([Fault(kind=kind, after=0.2)])
    async with make(handler, faults=faults) as function:
        found = await function.invoke(b"{}")
        assert isinstance(found, FunctionError)
        assert found.kind == error
        assert function.pids == []


async def test_a_fault_throttles_without_starting_a_process(make: Make) -> None:
    async with make("describe", faults=FaultScript([Fault(kind="throttle")])) as function:
        with pytest.raises(Throttled):
            await function.invoke(b"{}")
        assert function.started == 0
        assert value(await function.invoke(b"{}"))["calls"] == 1


async def test_a_cancelled_invocation_leaves_no_process(make: Make) -> None:
    async with make("hang") as function:
        invoking = asyncio.create_task(function.invoke(b"{}"))
        while not function.pids:  # noqa: ASYNC110 - the process has no event to wait for
            await asyncio.sleep(0.01)
        (pid,) = function.pids
        invoking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await invoking
        assert not exists(pid)
