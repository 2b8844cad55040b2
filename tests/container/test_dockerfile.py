"""The Dockerfile: what a linter and a reader check in it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from relay.cli import COMMANDS
from relay_cdk.requirements import EXTRAS
from tests.container.dockerfile import DOCKERFILE, ROOT, context, stages

HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent))


@pytest.mark.skipif(HADOLINT is None, reason="there is no hadolint for this platform")
def test_the_linter_finds_nothing() -> None:
    found = subprocess.run(
        [HADOLINT or "", str(DOCKERFILE)], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_the_base_image_is_pinned_by_its_digest() -> None:
    pinned = r"^ARG PYTHON_IMAGE=python:3\.\d+-slim@sha256:[0-9a-f]{64}$"
    assert re.search(pinned, DOCKERFILE.read_text(), re.MULTILINE)
    assert {stage.base for stage in stages()} == {"${PYTHON_IMAGE}"}


def test_signals_and_health_checks_need_no_shell() -> None:
    image = stages()[-1]
    assert image.last("ENTRYPOINT").array == ["relay"]
    (command,) = image.last("CMD").array
    assert command in COMMANDS
    health = image.last("HEALTHCHECK").value
    assert re.findall(r'"(\w+)"', health.partition("CMD ")[2]) == ["relay", "health"]


def test_it_runs_without_privileges_and_its_probes_can_reach_it() -> None:
    image = stages()[-1]
    assert image.last("USER").value == "10001:10001"
    variables = image.environment()
    assert (variables["RELAY_HOST"], variables["PORT"]) == ("0.0.0.0", "8000")
    assert variables["PATH"].startswith("/opt/relay/bin:")


def test_every_package_from_an_index_needs_a_hash() -> None:
    commands = [one.value for stage in stages() for one in stage.instructions if one.name == "RUN"]
    installs = [
        part for command in commands for part in re.findall(r"pip\b[^&]* install[^&]*", command)
    ]
    assert len(installs) == 3
    assert all("--require-hashes" in part or "--no-index" in part for part in installs)


def test_the_context_has_what_the_wheel_needs_and_no_more() -> None:
    found = set(map(str, context()))
    assert {"pyproject.toml", "requirements.txt", "requirements-build.txt", "README.md"} <= found
    assert {f"cdk/relay_cdk/extras/{name}.txt" for name in EXTRAS} <= found
    assert not [path for path in found if path.endswith(".pyc")]
    tops = {path.partition("/")[0] for path in found}
    assert tops.isdisjoint({"tests", ".git", ".venv", "bench", "docs", "relay.env", ".env"})


def test_the_documented_extras_are_those_that_can_be_built() -> None:
    text = (ROOT / "docs/container.md").read_text()
    assert all(f"`{name}`" in text for name in EXTRAS)


def test_each_extra_adds_its_file_with_hashes(tmp_path: Path) -> None:
    (command,) = (
        one.value
        for one in stages()[0].instructions
        if one.name == "RUN" and "${EXTRAS}" in one.value
    )
    for tool in ("python", "pip"):
        (tmp_path / tool).write_text('#!/bin/sh\necho "$0 $*"\n')
        (tmp_path / tool).chmod(0o755)
    extras = sorted(EXTRAS)
    ran = subprocess.run(
        ["/bin/sh", "-ec", command],
        env={"PATH": str(tmp_path), "EXTRAS": " ".join(extras)},
        capture_output=True,
        text=True,
        check=True,
    )
    named = re.findall(r"--requirement (\S+)", ran.stdout)
    assert named == ["requirements.txt", *(f"cdk/relay_cdk/extras/{name}.txt" for name in extras)]
