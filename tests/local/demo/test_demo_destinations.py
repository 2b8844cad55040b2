"""The orchestrators that the demo can run against."""

from __future__ import annotations

import subprocess
import sys

from relay.local.orchestrators.apis import EMULATED, missing_dependency


def test_an_unknown_orchestrator_is_refused_with_the_known_ones() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "relay", "demo", "--destination", "airplane"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "step-functions" in done.stderr


def test_a_missing_dependency_is_named() -> None:
    found = {name: missing_dependency(name, library=lambda _name: None) for name in EMULATED}
    assert {name for name, missing in found.items() if missing} == {"temporal", "bullmq"}
    assert "pip install 'sqs-relay[temporal]' grpcio" in str(found["temporal"])
    no_program = missing_dependency("bullmq", library=str, program=lambda _name: None)
    assert "redis-server" in str(no_program)
    assert missing_dependency("bullmq", library=str, program=str) is None
