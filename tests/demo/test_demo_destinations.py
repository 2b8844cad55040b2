"""The demonstration's books balance with another orchestrator than Inngest too."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from relay.local.orchestrators.names import NAMES, lacking


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relay", "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    "destination",
    [
        "step-functions",
        pytest.param("temporal", marks=pytest.mark.heavy),
        pytest.param("bullmq", marks=pytest.mark.heavy),
    ],
)
def test_the_books_balance_with_another_orchestrator(destination: str) -> None:
    lacks = lacking(destination)
    if lacks is not None:
        pytest.skip(lacks)
    done = demo("--messages", "100", "--destination", destination, "--pull")
    assert done.returncode == 0, done.stdout + done.stderr
    books = json.loads(done.stdout.splitlines()[-1])
    assert books["unique"] == books["ran"] + books["dead_lettered"]
    assert (books["lost"], books["ran_twice"], books["in_queue"]) == (0, 0, 0)


def test_an_orchestrator_that_nobody_knows_is_named() -> None:
    done = demo("--destination", "airplane")
    assert done.returncode == 2
    assert "step-functions" in done.stderr


def test_what_a_destination_lacks_here_is_named() -> None:
    told = {name: lacking(name, library=lambda _name: None) for name in NAMES}
    assert {name for name, lacks in told.items() if lacks} == {"temporal", "bullmq"}
    assert "pip install 'sqs-relay[temporal]' grpcio" in str(told["temporal"])
    nothing = lacking("bullmq", library=str, program=lambda _name: None)
    assert "redis-server" in str(nothing)
    assert lacking("bullmq", library=str, program=str) is None
