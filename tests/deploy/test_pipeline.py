"""The example of a pipeline: it asks nothing, needs no long-lived key, and is valid."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # it ships no types

from tests.deploy.conftest import ROOT

EXAMPLE = ROOT / "deploy" / "github-actions.yml"
TEXT = EXAMPLE.read_text()
JOBS: dict[str, Any] = yaml.safe_load(TEXT)["jobs"]
DOCS = (ROOT / "docs" / "deploy.md").read_text()


def commands(job: str) -> str:
    return "\n".join(step["run"] for step in JOBS[job]["steps"] if "run" in step)


def test_a_pull_request_is_compared_and_main_is_deployed_without_a_question() -> None:
    assert "make deploy CDK_COMMAND=diff" in commands("diff")
    assert JOBS["diff"]["if"] == "github.event_name == 'pull_request'"
    assert "--require-approval never" in commands("deploy")
    assert JOBS["deploy"]["if"] == "github.event_name == 'push'"
    # Both see the same options: a diff without them would show something else.
    assert all("$CDK_OPTIONS" in commands(job) for job in JOBS)


def test_it_gets_its_credentials_from_a_token() -> None:
    assert "secrets." not in TEXT
    for job in JOBS.values():
        assert job["permissions"] == {"contents": "read", "id-token": "write"}


def test_the_documentation_names_each_variable_that_it_needs() -> None:
    needed = set(re.findall(r"vars\.(\w+)", TEXT))
    assert needed == {"AWS_REGION", "AWS_DIFF_ROLE", "AWS_DEPLOY_ROLE"}
    assert all(f"`{name}`" in DOCS for name in needed)
    assert f"environment:{JOBS['deploy']['environment']}" in DOCS


@pytest.mark.skipif(not shutil.which("actionlint"), reason="actionlint is not installed")
def test_actionlint_finds_nothing() -> None:
    found = subprocess.run(["actionlint", EXAMPLE], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")
