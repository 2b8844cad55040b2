"""The demonstration's books balance in each mode, and with each orchestrator."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from relay.local.orchestrators.names import lacking

pytestmark = pytest.mark.xdist_group("demonstrations")

INNGEST = {
    "push": ("--messages", "300"),
    "pull": ("--messages", "200", "--pull"),
    "FIFO": ("--messages", "200", "--pull", "--fifo"),
}
OTHERS = {
    name: ("--messages", "100", "--pull", "--destination", name)
    for name in ("step-functions", "temporal", "bullmq")
}


@pytest.fixture(scope="module")
def demonstrations() -> Iterator[dict[str, subprocess.Popen[str]]]:
    """All of them at once: each waits for most of its time, for leases to lapse."""
    running = {
        name: subprocess.Popen(
            [sys.executable, "-m", "relay", "demo", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, options in (INNGEST | OTHERS).items()
        if name in INNGEST or lacking(name) is None
    }
    yield running
    for demo in running.values():
        demo.terminate()
        demo.communicate(timeout=60)


@pytest.mark.parametrize(
    "name",
    [
        *INNGEST,
        "step-functions",
        pytest.param("temporal", marks=pytest.mark.heavy),
        pytest.param("bullmq", marks=pytest.mark.heavy),
    ],
)
def test_the_books_balance(name: str, demonstrations: dict[str, subprocess.Popen[str]]) -> None:
    if name in OTHERS and (lacks := lacking(name)):
        pytest.skip(lacks)
    told, complaints = demonstrations[name].communicate(timeout=120)
    assert demonstrations[name].returncode == 0, told + complaints
    books = json.loads(told.splitlines()[-1])
    assert books["unique"] == books["ran"] + books["dead_lettered"]
    assert (books["lost"], books["ran_twice"], books["in_queue"]) == (0, 0, 0)
    assert books["dead_lettered"] > 0
    assert "goes down" in told
    assert "SIGKILL" in told
    if name == "push":
        assert books["published"] > books["unique"] > 300
