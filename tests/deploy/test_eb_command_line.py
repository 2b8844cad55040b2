"""The EB command line's own code takes the saved configuration for `eb create --cfg`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from string import Template as Placeholders
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # it ships no types

from relay_cdk.plain import SAVED
from relay_cdk.template import PLAIN

VERSION = "3.27.5"
SCRIPT = Path(__file__).with_name("eb_command_line.py")
VALUES = {"name": "orders", "region": "eu-west-1", "account": "123456789012", "partition": "aws"}


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command line does with the configuration, in an environment of its own."""
    folder = tmp_path_factory.mktemp("eb")
    python = folder / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"awsebcli=={VERSION}"], check=True)
    saved = folder / ".elasticbeanstalk/saved_configs/orders.cfg.yml"
    saved.parent.mkdir(parents=True)
    saved.write_text(Placeholders((PLAIN / SAVED).read_text()).substitute(VALUES))
    (folder / ".elasticbeanstalk/config.yml").write_text("global: {application_name: orders}\n")
    done = subprocess.run(
        [python, SCRIPT], cwd=folder, capture_output=True, text=True, check=True, env={}
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.fresh_venv
def test_it_uploads_the_file_under_the_name_that_it_then_asks_for(answer: dict[str, Any]) -> None:
    (key,) = answer["uploaded"]
    assert key == f"resources/templates/orders/{answer['with']['TemplateName']}"


@pytest.mark.fresh_venv
def test_given_a_path_it_asks_for_a_name_that_does_not_exist(answer: dict[str, Any]) -> None:
    # Why docs/deploy.md says to pass the name.
    assert f"resources/templates/orders/{answer['by_path']}" not in answer["uploaded"]


@pytest.mark.fresh_venv
def test_the_tier_is_that_of_the_configuration(answer: dict[str, Any]) -> None:
    (text,) = answer["uploaded"].values()
    tier = answer["with"]["Tier"]
    assert yaml.safe_load(text)["EnvironmentTier"] == {n: tier[n] for n in ("Name", "Type")}


@pytest.mark.fresh_venv
def test_what_it_sets_only_without_a_configuration_is_in_the_configuration(
    answer: dict[str, Any],
) -> None:
    def options(of: str) -> set[tuple[str, str]]:
        listed = answer[of].get("OptionSettings", [])
        return {(option["Namespace"], option["OptionName"]) for option in listed}

    (text,) = answer["uploaded"].values()
    settings = yaml.safe_load(text)["OptionSettings"]
    own = {(space, name) for space, group in settings.items() for name in group}
    missing = options("without") - options("with")
    assert ("aws:elasticbeanstalk:command", "BatchSize") in missing
    assert missing <= own
