"""docs/verified.md: each outside system has a row, with the versions that the tests run against."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import get_args

from relay.local.orchestrators.apis import EMULATED
from relay.settings.destination_value_types import Destination
from tests.deploy.test_eb_command_line import VERSION as EB_VERSION
from tests.destinations.conformance.real_servers import VARIABLES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/verified.md").read_text(encoding="utf-8")
METHODS = {"real", "recorded", "library", "model", "double"}
CLIENT_NAMES = {"states": "step-functions", "stepfunctions": "step-functions"}
"""What botocore or IAM calls a service, where the page has it under another name."""


def rows(*titles: str) -> Iterator[list[str]]:
    """The cells of the tables' rows under these headings."""
    for section in PAGE.split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        if title in titles:
            lines = [line for line in text.splitlines() if line.startswith("|")]
            yield from ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:])


def names(*titles: str) -> set[str]:
    """What stands in backticks in the first column."""
    return {name for row in rows(*titles) for name in re.findall(r"`([^`]+)`", row[0])}


SYSTEMS = ("Destinations", "AWS", "Others")


def test_every_destination_has_a_row() -> None:
    assert names("Destinations") == set(get_args(Destination))


def test_every_service_of_aws_that_the_relay_calls_has_a_row() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "relay").rglob("*.py"))
    clients = set(re.findall(r"\.client\(\s*\"(\w+)\"", text))
    found = set(re.findall(r"\"([a-z0-9]+):[A-Z][A-Za-z]+\"", text))
    permissions = found - {"body", "header"}  # places in a webhook
    called = {CLIENT_NAMES.get(name, name) for name in clients | permissions}
    assert called <= names("AWS", "Destinations")
    assert {"sqs", "dynamodb", "ssm", "sts", "step-functions"} <= called


def test_every_stand_in_has_a_row() -> None:
    servers = {path.parent.name for path in (ROOT / "relay/local").glob("*/__main__.py")}
    assert names("The emulators that Relay ships") == servers - {"demo"} | set(EMULATED)


def test_every_recording_is_named() -> None:
    for path in (ROOT / "tests/recordings").glob("*.jsonl"):
        assert path.name in PAGE


def test_every_row_says_how_when_and_what_is_not_proven() -> None:
    for system, version, day, how, seen, unproven in rows(*SYSTEMS):
        assert set(how.split(", ")) <= METHODS, system
        assert all((version, seen, unproven)), system
        if day == "never":
            assert how == "double", system
        else:
            date.fromisoformat(day)


def test_every_step_of_a_deployment_says_what_is_checked_and_what_is_not_proven() -> None:
    steps = list(rows("A deployment, step by step"))
    assert all(all(cells) and len(cells) == 3 for cells in steps)
    # Each command that needs an account, and each section that describes one.
    text = " ".join(cells[0] for cells in steps)
    deploy = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    commands = set(re.findall(r"make deploy CDK_COMMAND=(\w+)", deploy)) - {"diff"}
    assert commands == {"bootstrap", "import", "destroy"}
    for step in (*commands, "platform", "fails", "protect", "event key", "eb create", "relay poll"):
        assert step in text, f"say in docs/verified.md what is not proven about: {step}"


def test_versions_are_those_that_are_installed() -> None:
    pins = {**pinned(), **recorded()}
    told = dict(re.findall(r"([\w-]+) (\d+\.\d+\.\d+)", PAGE))
    for name in told.keys() & pins.keys():
        assert told[name] == pins[name], f"compare again with {name} {pins[name]}"
    assert {"moto", "botocore", "temporalio", "hera"} <= told.keys() & pins.keys()
    assert f"awsebcli {EB_VERSION}" in PAGE
    makefile = (ROOT / "Makefile").read_text()
    for variable in ("PREFECT_VERSION", "FASTAPI_VERSION", "BULLMQ_VERSION"):
        (version,) = re.findall(rf"^{variable} := (.+)$", makefile, re.MULTILINE)
        assert version in PAGE, f"compare again with {variable} {version}"


def pinned() -> dict[str, str]:
    text = (ROOT / "requirements-dev.txt").read_text()
    return dict(re.findall(r"^([\w-]+)(?:\[.*\])?==([\w.]+)", text, re.MULTILINE))


def recorded() -> dict[str, str]:
    """The versions of servers that have recordings."""
    found = [path.stem.split("-", 1) for path in (ROOT / "tests/recordings").glob("*.jsonl")]
    return {name: version for name, version in found if version.count(".") > 1}


def test_every_variable_that_names_a_real_server_is_explained() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for variable in (*VARIABLES.values(), "INNGEST_DEV_URL", "INNGEST_START_URL"):
        assert f"`{variable}`" in text
