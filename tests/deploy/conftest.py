from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.template import Template

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "cdk")))}
"""For child processes: the code of this tree, whatever is installed."""


@pytest.fixture(scope="session")
def synthesized(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder with templates and bundle, created once for all processes of the test run."""
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    folder = shared / "synthesized"
    with (shared / "synthesized.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "hosted.json").exists():
            folder.mkdir(exist_ok=True)
            command = [sys.executable, "-m", "tests.deploy.deployments", str(folder)]
            made = subprocess.run(
                command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
            )
            assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="session")
def default(synthesized: Path) -> Template:
    """The template of `make deploy` without options."""
    return Template.of(synthesized / "default.json")


@pytest.fixture(scope="session")
def customized(synthesized: Path) -> Template:
    """A customer key, a VPC, a self-hosted server, producers in other accounts."""
    return Template.of(synthesized / "customized.json")


@pytest.fixture(scope="session")
def complete(synthesized: Path) -> Template:
    """A customer key, two destinations, payloads in S3: all that needs a permission."""
    return Template.of(synthesized / "complete.json")


@pytest.fixture(scope="session")
def pull(synthesized: Path) -> Template:
    """The template without a worker environment."""
    return Template.of(synthesized / "pull.json")


@pytest.fixture(scope="session")
def fifo(synthesized: Path) -> Template:
    """FIFO queues with a customer key, for `relay poll`."""
    return Template.of(synthesized / "fifo.json")


@pytest.fixture(scope="session")
def hosted(synthesized: Path) -> Template:
    """A relay in somebody else's stack, with a queue, key, topic and VPC that exist already."""
    return Template.of(synthesized / "hosted.json")


@pytest.fixture(scope="session")
def fargate(synthesized: Path) -> Template:
    """The template of a service on Fargate, in a new network."""
    return Template.of(synthesized / "fargate.json")


@pytest.fixture(scope="session")
def function(synthesized: Path) -> Template:
    """The template of a function."""
    return Template.of(synthesized / "function.json")
