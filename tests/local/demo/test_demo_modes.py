"""The demonstration's books balance in each mode, and with each orchestrator."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import pytest

from relay.local.orchestrators.apis import missing_dependency

Running: TypeAlias = Mapping[str, subprocess.Popen[str]]

MODES = {
    "push": ("--messages", "300"),
    "pull": ("--messages", "200", "--pull"),
    "FIFO": ("--messages", "200", "--pull", "--fifo"),
}
ORCHESTRATORS = {
    name: ("--messages", "100", "--pull", "--destination", name)
    for name in ("step-functions", "temporal", "bullmq")
    if missing_dependency(name) is None
}


@contextmanager
def at_once(demonstrations: Mapping[str, tuple[str, ...]]) -> Iterator[Running]:
    """Each waits for most of its time, for leases to lapse."""
    running = {
        name: subprocess.Popen(
            [sys.executable, "-m", "relay", "demo", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, options in demonstrations.items()
    }
    try:
        yield running
    finally:
        for demo in running.values():
            demo.terminate()
            demo.communicate(timeout=60)


@pytest.fixture(scope="module")
def modes() -> Iterator[Running]:
    with at_once(MODES) as running:
        yield running


@pytest.fixture(scope="module")
def orchestrators() -> Iterator[Running]:
    with at_once(ORCHESTRATORS) as running:
        yield running


def balanced(demo: subprocess.Popen[str]) -> Mapping[str, Any]:
    """The books of a demonstration with an outage and a crash."""
    told, complaints = demo.communicate(timeout=180)
    assert demo.returncode == 0, told + complaints
    books: dict[str, Any] = json.loads(told.splitlines()[-1])
    assert books["unique"] == books["ran"] + books["dead_lettered"]
    assert (books["lost"], books["ran_twice"], books["in_queue"]) == (0, 0, 0)
    assert books["dead_lettered"] > 0
    assert "goes down" in told
    assert "SIGKILL" in told
    return books


@pytest.mark.parametrize("mode", MODES)
def test_the_books_balance_in_each_mode(mode: str, modes: Running) -> None:
    books = balanced(modes[mode])
    if mode == "push":
        assert books["published"] > books["unique"] > 300


@pytest.mark.parametrize(
    "name",
    [
        "step-functions",
        pytest.param("temporal", marks=pytest.mark.heavy),
        pytest.param("bullmq", marks=pytest.mark.heavy),
    ],
)
def test_the_books_balance_with_another_orchestrator(name: str, orchestrators: Running) -> None:
    if name not in orchestrators:
        pytest.skip(str(missing_dependency(name)))
    balanced(orchestrators[name])
