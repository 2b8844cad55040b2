"""The template as a whole: it is current, and cfn-lint and cdk-nag find nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from relay_cdk.template import COMMITTED, without_hashes
from tests.deploy.template import Template


def test_the_committed_template_is_current(default: Template) -> None:
    current = without_hashes(default.text) == COMMITTED.read_text()
    assert current, "run `make synth` and look at the diff of cdk/template.json"


def test_cfn_lint_finds_nothing(synthesized: Path) -> None:
    templates = [str(path) for path in sorted(synthesized.glob("*.json"))]
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--regions", "us-east-1"]
    found = subprocess.run(
        [*command, "--", *templates], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")
