"""Which orchestrators the demonstration can have."""

from __future__ import annotations

import subprocess
import sys

from relay.local.orchestrators.apis import EMULATED, missing_dependency


def test_an_orchestrator_that_nobody_knows_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "relay", "demo", "--destination", "airplane"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "step-functions" in done.stderr


def test_what_a_destination_lacks_here_is_named() -> None:
    told = {name: missing_dependency(name, library=lambda _name: None) for name in EMULATED}
    assert {name for name, lacks in told.items() if lacks} == {"temporal", "bullmq"}
    assert "pip install 'sqs-relay[temporal]' grpcio" in str(told["temporal"])
    nothing = missing_dependency("bullmq", library=str, program=lambda _name: None)
    assert "redis-server" in str(nothing)
    assert missing_dependency("bullmq", library=str, program=str) is None
