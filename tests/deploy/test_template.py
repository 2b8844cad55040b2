"""The template as a whole: it is current, and cfn-lint and cdk-nag find nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from relay_cdk.template import COMMITTED, without_hashes
from tests.deploy.conftest import ENVIRONMENT, ROOT
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


def test_an_invalid_option_gives_one_sentence_and_no_template(tmp_path: Path) -> None:
    environment = {
        **ENVIRONMENT,
        "CDK_OUTDIR": str(tmp_path),
        "CDK_CONTEXT_JSON": '{"worker": "lambda"}',
    }
    command = [sys.executable, "-m", "relay_cdk.app"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "worker must be elasticbeanstalk or none\n"
    assert not list(tmp_path.glob("*.template.json"))
