from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.template import Template

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def synthesized(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder with the templates and the bundle, made once for all the run's processes."""
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    folder = shared / "synthesized"
    with (shared / "synthesized.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "pull.json").exists():
            folder.mkdir(exist_ok=True)
            command = [sys.executable, "-m", "tests.deploy.deployments", str(folder)]
            made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="session")
def default(synthesized: Path) -> Template:
    """What `make deploy` deploys when nothing is chosen."""
    return Template.of(synthesized / "default.json")


@pytest.fixture(scope="session")
def chosen(synthesized: Path) -> Template:
    """FIFO, a customer key, a VPC, a server of one's own, producers elsewhere."""
    return Template.of(synthesized / "chosen.json")


@pytest.fixture(scope="session")
def pull(synthesized: Path) -> Template:
    """Without an environment."""
    return Template.of(synthesized / "pull.json")
