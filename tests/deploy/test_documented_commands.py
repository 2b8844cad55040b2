"""Every `aws` command of docs/deploy.md is one that the AWS command line takes, in its order.

The server is a simulated AWS, so this proves the commands' form and not their effect.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from string import Template as Placeholders

from cfnlint.schema import (  # type: ignore[import-untyped] # it ships no types
    PROVIDER_SCHEMA_MANAGER,
)

from relay_cdk.template import PLAIN
from tests.deploy.conftest import ENVIRONMENT
from tests.deploy.simulated_aws import IDENTITY, simulated_aws
from tests.deploy.template import Template

TEXT = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
VALUES = {"name": "orders", "region": "eu-west-1", "account": "123456789012", "partition": "aws"}
ILL_FORMED = ("usage:", "Unknown options", "Parameter validation failed", "Error parsing parameter")
"""What the command line says of a command that it does not send."""

MISTAKES = [
    "aws sqs create-queue --nme orders",
    "aws sqs make-queue --queue-name orders",
    "aws sqs create-queue --queue-name orders --attributes VisibilityTimeout",
]

SIMULATED = ("sqs", "dynamodb", "secretsmanager", "logs", "iam")
"""The services whose commands must succeed; of the others the simulation knows too little."""

QUEUE = "https://eu-west-1.queue.amazonaws.com/123456789012"
PLACEHOLDERS = {
    "DEAD-LETTER-QUEUE-URL": f"{QUEUE}/orders-events-dlq",
    "QUEUE-URL": f"{QUEUE}/orders-events",
    "LEDGER-TABLE": "orders-ledger",
    "EVENT-KEY-SECRET": "orders/event-key",
    "/aws/elasticbeanstalk/relay/audit": "/aws/elasticbeanstalk/orders/audit",
}


def commands() -> list[str]:
    """The commands of the code blocks: creation of the queues first, deletions last."""
    found = re.findall(r"^ +(aws (?:.*\\\n)*.*)$", TEXT, re.MULTILINE)
    joined = [re.sub(r"\\\n\s*", "", command).split(" > ")[0] for command in found]
    start = next(i for i, command in enumerate(joined) if "create-queue" in command)
    return sorted(joined[start:] + joined[:start], key=lambda command: " delete-" in command)


def ill_formed(errors: str) -> bool:
    return any(words in errors for words in ILL_FORMED)


def arguments(command: str) -> list[str]:
    for placeholder, value in PLACEHOLDERS.items():
        command = command.replace(placeholder, value)
    return shlex.split(command)[1:]


def run(url: str, folder: Path) -> Iterator[tuple[str, int, str]]:
    """Run all commands where the files of deploy/ are filled in: exit codes and errors."""
    files = folder / "build" / "deploy"
    files.mkdir(parents=True)
    for path in PLAIN.glob("*.json"):
        (files / path.name).write_text(Placeholders(path.read_text()).substitute(VALUES))
    all_commands = [*commands(), *MISTAKES]
    region = {"AWS_DEFAULT_REGION": VALUES["region"]}
    done = subprocess.run(
        [sys.executable, "-m", "tests.deploy.aws_command_line"],
        input=json.dumps([[*arguments(c), "--endpoint-url", url] for c in all_commands]),
        cwd=folder,
        env=ENVIRONMENT | IDENTITY | region,
        capture_output=True,
        text=True,
        check=True,
    )
    for command, (code, errors) in zip(all_commands, json.loads(done.stdout), strict=True):
        yield command, code, errors


def test_the_command_line_takes_every_documented_command(tmp_path: Path) -> None:
    succeeded = set()
    with simulated_aws(tmp_path / "created", MOTO_IAM_LOAD_MANAGED_POLICIES="true") as aws:
        for command, code, errors in run(aws.url, tmp_path):
            assert ill_formed(errors) == (command in MISTAKES), (command, errors)
            _, service, action, *_ = command.split()
            if service in SIMULATED and command not in MISTAKES and not action.startswith("delete"):
                assert code == 0, (command, errors)
                succeeded.add(service)
    assert succeeded == set(SIMULATED)


def test_what_some_options_add_to_it_is_named_by_its_identifier(customized: Template) -> None:
    added = TEXT.split("`adopt.json`")[1].split("```")[2].split("```")[0]
    named = re.findall(r'`"(\w+)": \{"(\w+)": "[A-Z-]+"\}`', added)
    kinds = {customized.resources[logical_id]["Type"]: name for logical_id, name in named}
    assert kinds == {"AWS::KMS::Key": "KeyId", "AWS::SecretsManager::Secret": "Id"}
    for kind, name in kinds.items():
        assert primary_identifier(kind) == [f"/properties/{name}"]


def test_what_is_adopted_is_named_by_its_identifier(default: Template) -> None:
    block = TEXT.split("`adopt.json`")[1].split("```json")[1].split("```")[0]
    for logical_id, identifier in json.loads(block).items():
        kind = default.resources[logical_id]["Type"]
        assert [f"/properties/{name}" for name in identifier] == primary_identifier(kind)


def test_what_is_adopted_by_itself_has_its_identifier_in_the_template(default: Template) -> None:
    for kind in ("AWS::Logs::LogGroup", "AWS::ElasticBeanstalk::Application"):
        (name,) = (path.rsplit("/", 1)[1] for path in primary_identifier(kind))
        assert isinstance(default.one(kind)[name], str)


def primary_identifier(kind: str) -> list[str]:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    return list(schema["primaryIdentifier"])
