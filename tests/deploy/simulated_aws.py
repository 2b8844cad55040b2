"""The simulated AWS of `tests.deploy.cloudformation`, started and asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped] # it ships no types

from tests.deploy.template import Template

ROOT = Path(__file__).parents[2]

REGION = "eu-west-1"
IDENTITY = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@dataclass(frozen=True)
class Aws:
    """A simulated region whose CloudFormation can create our template."""

    url: str
    record: Path

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def create(self, template: Template, name: str = "relay") -> dict[str, str]:
        """Create a stack from the template's unchanged text. Returns its outputs."""
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(
            StackName=name, TemplateBody=template.text, Capabilities=["CAPABILITY_NAMED_IAM"]
        )
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        assert stack["StackStatus"] == "CREATE_COMPLETE"
        return {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}

    def options(self) -> dict[str, dict[str, str]]:
        """The environment's option settings with every reference resolved, by namespace."""
        created = [json.loads(path.read_text()) for path in self.record.iterdir()]
        kind = "AWS::ElasticBeanstalk::Environment"
        (environment,) = (n["properties"] for n in created if n["type"] == kind)
        found: dict[str, dict[str, str]] = {}
        for option in environment["OptionSettings"]:
            found.setdefault(option["Namespace"], {})[option["OptionName"]] = option["Value"]
        return found

    def task_variables(self) -> dict[str, str]:
        """The variables of the only task definition's container, with every reference resolved."""
        ecs = self.client("ecs")
        (arn,) = ecs.list_task_definitions()["taskDefinitionArns"]
        definition = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        (container,) = definition["containerDefinitions"]
        return {found["name"]: found["value"] for found in container["environment"]}

    def function_variables(self) -> dict[str, str]:
        """The variables of the only function, with every reference resolved."""
        (function,) = self.client("lambda").list_functions()["Functions"]
        return dict(function["Environment"]["Variables"])

    def policy(self, arn: str) -> dict[str, Any]:
        """The document of a managed policy, with every reference resolved."""
        iam = self.client("iam")
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
        return dict(found["Document"])

    def role_policies(self, ending: str) -> list[dict[str, Any]]:
        """The inline policies of the role that EC2 or another service, by its name, assumes."""
        iam = self.client("iam")
        (role,) = (
            role["RoleName"]
            for role in iam.list_roles()["Roles"]
            if ending in json.dumps(role["AssumeRolePolicyDocument"])
        )
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        return [
            dict(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])
            for name in names
        ]


@contextmanager
def simulated_aws(record: Path, **variables: str) -> Iterator[Aws]:
    """A new region, in a process of its own. It writes what it creates into the folder."""
    record.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.deploy.cloudformation", str(record)],
        cwd=ROOT,
        # The code of a function lies in the bootstrap's bucket, which does not exist here.
        env=os.environ | {"VALIDATE_LAMBDA_S3": "false"} | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdin
        assert process.stdout
        try:
            yield Aws(f"http://127.0.0.1:{process.stdout.readline().strip()}", record)
        finally:
            process.stdin.close()
