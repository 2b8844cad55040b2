"""The plain files in deploy/ are current, and valid for what they are for."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from string import Template as Placeholders
from typing import Any

import boto3  # type: ignore[import-untyped] # it ships no types
import pytest
import yaml  # type: ignore[import-untyped] # it ships no types

from relay.local.sqs import SqsServer
from relay_cdk.plain import SAVED, plain_files
from relay_cdk.template import PLAIN
from tests.deploy.bundle_files import extensions
from tests.deploy.template import Template

VALUES = {
    "name": "orders",
    "region": "us-east-1",
    "account": "000000000000",
    "partition": "aws",
}
QUEUES = ("dead-letter-queue.json", "queue.json")
POLICIES = (
    "relay-policy.json",
    "producer-policy.json",
    "operator-policy.json",
    "service-policy.json",
    "worker-policy.json",
)


def filled(name: str) -> str:
    """A file after `envsubst` or Terraform's `templatefile`."""
    return Placeholders((PLAIN / name).read_text()).substitute(VALUES)


def saved() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(filled(SAVED))
    return found


def test_they_are_current(synthesized: Path) -> None:
    files = plain_files(json.loads((synthesized / "plain.json").read_text()))
    for name, text in files.items():
        assert (PLAIN / name).read_text() == text, (
            "run `make synth` and look at the diff of deploy/"
        )


def test_only_four_values_are_left_to_fill_in() -> None:
    for path in PLAIN.glob("*.json"):
        assert set(re.findall(r"\$\{?(\w+)", path.read_text())) <= VALUES.keys()


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_has_resources_of_one_deployment_only(name: str) -> None:
    document = json.loads(filled(name))
    assert document["Version"] == "2012-10-17"
    for statement in document["Statement"]:
        assert statement["Effect"] == "Allow"
        resources = statement["Resource"]
        for arn in resources if isinstance(resources, list) else [resources]:
            assert arn == "*" or re.fullmatch(r"arn:aws:[a-z0-9]+:([\w-]*:){2}.+", arn)


async def test_sqs_creates_the_queues_from_their_files() -> None:
    async with SqsServer(region="us-east-1") as server:
        attributes = await asyncio.to_thread(create_queues, server.url)
    expected = json.loads(filled("queue.json"))
    assert {name: attributes[name] for name in expected if name != "Policy"} == {
        name: value for name, value in expected.items() if name != "Policy"
    }


def create_queues(url: str) -> dict[str, str]:
    """Create both as the documentation does. Returns the attributes of the main queue."""
    client = boto3.client(
        "sqs",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    made = {}
    for file, name in zip(QUEUES, ("orders-events-dlq", "orders-events"), strict=True):
        made = client.create_queue(QueueName=name, Attributes=json.loads(filled(file)))
    found = client.get_queue_attributes(QueueUrl=made["QueueUrl"], AttributeNames=["All"])
    client.close()
    return dict(found["Attributes"])


def test_the_saved_configuration_follows_the_rules_of_the_guide() -> None:
    document = saved()
    # Without this line `eb create --cfg` fails.
    assert document["AWSConfigurationTemplateVersion"] == "1.1.0.0"
    assert document.keys() <= {
        "AWSConfigurationTemplateVersion",
        "EnvironmentConfigurationMetadata",
        "EnvironmentTier",
        "OptionSettings",
        "Platform",
        "Tags",
    }
    assert document["EnvironmentTier"] == {"Name": "Worker", "Type": "SQS/HTTP"}
    for namespace, group in document["OptionSettings"].items():
        assert namespace.startswith("aws:")
        assert all(isinstance(value, str) and value for value in group.values())


def test_with_the_bundle_it_sets_every_option_of_the_stacks_environment(
    default: Template,
) -> None:
    directly = {(s, name) for s, group in saved()["OptionSettings"].items() for name in group}
    assert default.options().keys() - directly - extensions().keys() == set()


def test_it_sets_what_the_command_line_leaves_out_with_a_saved_configuration() -> None:
    settings = saved()["OptionSettings"]
    assert settings["aws:elasticbeanstalk:command"].keys() >= {"BatchSize", "BatchSizeType"}
    updates = settings["aws:autoscaling:updatepolicy:rollingupdate"]
    assert updates["RollingUpdateType"] == "Health"
    assert settings["aws:elasticbeanstalk:healthreporting:system"] == {"SystemType": "enhanced"}
    assert settings["aws:autoscaling:launchconfiguration"]["IamInstanceProfile"] == "orders-worker"
    assert settings["aws:elasticbeanstalk:environment"]["ServiceRole"] == "orders-service"


def test_its_variables_name_what_the_other_files_create() -> None:
    variables = saved()["OptionSettings"]["aws:elasticbeanstalk:application:environment"]
    assert variables["RELAY_QUEUE_URL"].endswith("/000000000000/orders-events")
    assert variables["RELAY_INNGEST_EVENT_KEY_SECRET"] == "orders/event-key"
    assert "secret:orders/event-key-??????" in filled("relay-policy.json")
    assert f"table/{variables['RELAY_LEDGER_TABLE']}" in filled("relay-policy.json")
