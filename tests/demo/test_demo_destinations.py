"""The demonstration's books balance with another orchestrator than Inngest too."""

from __future__ import annotations

import json
import subprocess
import sys


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relay", "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_books_balance_with_step_functions() -> None:
    done = demo("--messages", "100", "--destination", "step-functions", "--pull")
    assert done.returncode == 0, done.stdout + done.stderr
    books = json.loads(done.stdout.splitlines()[-1])
    assert books["unique"] == books["ran"] + books["dead_lettered"]
    assert (books["lost"], books["ran_twice"], books["in_queue"]) == (0, 0, 0)


def test_an_orchestrator_that_nobody_knows_is_named() -> None:
    done = demo("--destination", "airplane")
    assert done.returncode == 2
    assert "step-functions" in done.stderr
