"""The demo reconciles in each mode, and with each orchestrator."""

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
    "pull": ("--messages", "200", "--host", "poller"),
    "FIFO": ("--messages", "200", "--host", "poller", "--fifo"),
}
LAMBDA = {
    "standard": ("--messages", "200", "--host", "lambda"),
    "FIFO": ("--messages", "150", "--host", "lambda", "--fifo"),
}
ORCHESTRATORS = {
    name: ("--messages", "100", "--host", "poller", "--destination", name)
    for name in ("step-functions", "temporal", "bullmq")
    if missing_dependency(name) is None
}


@contextmanager
def at_once(demos: Mapping[str, tuple[str, ...]]) -> Iterator[Running]:
    """Run them concurrently: each spends most of its time waiting for leases to expire."""
    running = {
        name: subprocess.Popen(
            [sys.executable, "-m", "relay", "demo", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, options in demos.items()
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
def functions() -> Iterator[Running]:
    with at_once(LAMBDA) as running:
        yield running


@pytest.fixture(scope="module")
def orchestrators() -> Iterator[Running]:
    with at_once(ORCHESTRATORS) as running:
        yield running


def reconciled(demo: subprocess.Popen[str]) -> Mapping[str, Any]:
    """The counts of a demo that had an outage and a crash, and lost nothing."""
    printed, errors = demo.communicate(timeout=180)
    assert demo.returncode == 0, printed + errors
    counts: dict[str, Any] = json.loads(printed.splitlines()[-1])
    assert counts["unique"] == counts["ran"] + counts["dead_lettered"]
    assert (counts["lost"], counts["ran_twice"], counts["in_queue"]) == (0, 0, 0)
    assert counts["dead_lettered"] > 0
    assert "goes down" in printed
    assert "SIGKILL" in printed
    return counts


@pytest.mark.parametrize("mode", MODES)
def test_the_demo_reconciles_in_each_mode(mode: str, modes: Running) -> None:
    counts = reconciled(modes[mode])
    if mode == "push":
        assert counts["published"] > counts["unique"] > 300


@pytest.mark.parametrize("queue", LAMBDA)
def test_the_demo_reconciles_in_lambda(queue: str, functions: Running) -> None:
    reconciled(functions[queue])


@pytest.mark.parametrize(
    "name",
    [
        "step-functions",
        pytest.param("temporal", marks=pytest.mark.heavy),
        pytest.param("bullmq", marks=pytest.mark.heavy),
    ],
)
def test_the_demo_reconciles_with_another_orchestrator(name: str, orchestrators: Running) -> None:
    if name not in orchestrators:
        pytest.skip(str(missing_dependency(name)))
    reconciled(orchestrators[name])
