"""Addresses, in network namespaces: machines with one family of addresses, and lost packets."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.http.namespace import SITUATIONS

ROOT = Path(__file__).parents[2]
PROBE = ["unshare", "--net", "ip", "link", "set", "lo", "up"]


def refusal() -> str:
    """Why no namespace can be made here; empty if one can."""
    if not shutil.which("unshare") or not shutil.which("ip"):
        return "unshare and ip are not installed"
    return subprocess.run(PROBE, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize("situation", [each.__name__ for each in SITUATIONS])
def test_in_a_namespace(situation: str) -> None:
    if why := refusal():
        pytest.skip(f"no network namespace can be made: {why.strip()}")
    command = ["unshare", "--net", sys.executable, "-m", "tests.http.namespace", situation]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
