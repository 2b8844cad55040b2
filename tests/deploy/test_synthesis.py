"""Synthesis warns of nothing, and neither does the CDK's command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.deploy.conftest import ENVIRONMENT, ROOT

WARNINGS = ("aws:cdk:warning", "aws:cdk:error")
REPORT = "aws-cdk-lib/feature-flag-report"


def test_it_prints_nothing_and_leaves_no_feature_flag_unset(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "relay_cdk.app"],
        cwd=ROOT / "cdk",
        env={**ENVIRONMENT, "CDK_OUTDIR": str(tmp_path), "CDK_CONTEXT_JSON": "{}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    written = "".join(path.read_text() for path in tmp_path.glob("*.json"))
    assert [kind for kind in WARNINGS if kind in written] == []
    # The command line warns of each flag that has no value.
    flags = manifest["artifacts"][REPORT]["properties"]["flags"]
    unset = {n: f["recommendedValue"] for n, f in flags.items() if "userValue" not in f}
    assert unset == {}, "add them to cdk/relay_cdk/feature_flags.json"


def test_makes_own_variables_do_not_reach_the_cdk_which_would_read_them_as_options() -> None:
    show = 'show: ; @echo "$${CDK-unset} $${CDK_COMMAND-unset}"'
    shown = subprocess.run(
        [
            "make",
            "--no-print-directory",
            f"--eval={show}",
            "show",
            "CDK=-c x=y",
            "CDK_COMMAND=diff",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.stdout == "unset unset\n", shown.stderr
