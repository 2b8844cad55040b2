"""Runs every command and host on a recording AWS, under the identity that each has in production.

IAM and Elastic Beanstalk are stubs here: nothing is refused. What this records is which
permissions the calls need; whether AWS grants them shows only in an account.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay.local.inngest import InngestServer
from relay.local.lambda_events import Function
from relay.local.processes import RelayProcess
from relay.local.sqs import SqsServer
from tests.deploy.aws_calls import ACCOUNT, Permissions
from tests.deploy.deployments import MACHINE
from tests.deploy.recorder import Recorder
from tests.deploy.simulated_aws import REGION, Aws

INSTANCE, SQSD, OPERATOR, PRODUCER, SETUP = "INSTANCE", "local", "OPERATOR", "PRODUCER", "SETUP"
TASK, FUNCTION = "TASK", "FUNCTION"
"""Access keys, by which calls are told apart. The emulators of sqsd and Lambda have a fixed one."""

VARIABLES = "aws:elasticbeanstalk:application:environment"
BUCKET = "shop-payloads"
BODIES = "shop-dead-letters"
SIGNING_KEY = "5ecret"
SMALL_QUEUE = 16_384
"""The dead-letter queue's MaximumMessageSize, so that a body has to be kept in S3."""


POINTER = "software.amazon.payloadoffloading.PayloadS3Pointer"


@dataclass
class Exercise:
    """Runs the commands and the hosts of the deployment `name`.

    `host` are the variables that the template gives to its relay.
    """

    aws: Aws
    sqs: SqsServer
    recorder: Recorder
    inngest: InngestServer
    outputs: dict[str, str]
    directory: Path
    name: str
    host: dict[str, str]

    @property
    def main(self) -> str:
        return f"{self.recorder.url}/{ACCOUNT}/{self.name}-events"

    @property
    def dead(self) -> str:
        return f"{self.main}-dlq"

    def variables(self, identity: str) -> dict[str, str]:
        """The host's variables; servers on loopback take the place of those elsewhere."""
        return self.host | {
            "AWS_ACCESS_KEY_ID": identity,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": self.recorder.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            # So that the namespace of metrics can be read.
            "AWS_DISABLE_REQUEST_COMPRESSION": "true",
            "RELAY_QUEUE_URL": self.main,
            "RELAY_DLQ_URL": self.dead,
            "RELAY_INNGEST_URL": self.inngest.url,
        }

    async def run(
        self, identity: str, *arguments: str, stdin: str = "", expected: int = 0, **more: str
    ) -> str:
        """Run one command to its end."""
        process = await self.start(identity, *arguments, **more)
        out, err = await process.communicate(stdin.encode())
        assert process.returncode == expected, f"{arguments}\n{out.decode()}\n{err.decode()}"
        return out.decode()

    async def start(
        self, identity: str, *arguments: str, **more: str
    ) -> asyncio.subprocess.Process:
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "RELAY_"))}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=kept | self.variables(identity) | more,
            cwd=self.directory,
        )

    async def send(self, *bodies: str) -> None:
        """Publish as a producer who knows the queue's name."""
        command = ("send", "--queue", f"{self.name}-events", "--no-check", "--lines", "-")
        await self.run(PRODUCER, *command, stdin="\n".join(bodies))

    async def until_empty(self, relay: RelayProcess | Function) -> None:
        """Wait until the main queue has no message, in flight or not."""
        queue = self.sqs.queues[f"{self.name}-events"]
        try:
            await self.recorder.until(lambda: not queue.messages())
        except TimeoutError:
            raise AssertionError(relay.output(30)) from None


def event(name: str, number: int) -> str:
    return json.dumps({"name": name, "data": {"n": number}, "id": f"{name}-{number}"})


@asynccontextmanager
async def exercise(
    aws: Aws, outputs: dict[str, str], directory: Path, name: str, host: dict[str, str]
) -> AsyncIterator[Exercise]:
    """The servers, the recorder in front of them, and what the commands work on."""
    key = await asyncio.to_thread(_fill, aws, outputs, name)
    async with AsyncExitStack() as stack:
        sqs = await stack.enter_async_context(SqsServer(region=REGION, account=ACCOUNT))
        _create_queues(sqs, key, f"{name}-events")
        opening = InngestServer(mode="start", event_keys=["event-key"], signing_key=SIGNING_KEY)
        inngest = await stack.enter_async_context(opening)
        recorder = Recorder({"sqs": sqs.url}, aws.url, Permissions(key))
        await stack.enter_async_context(recorder.serving())
        yield Exercise(aws, sqs, recorder, inngest, outputs, directory, name, host)


def _create_queues(sqs: SqsServer, key: str, name: str) -> None:
    encrypted = {"KmsMasterKeyId": key}
    small = {"MaximumMessageSize": f"{SMALL_QUEUE}"}
    sqs.account.create(f"{name}-dlq", {**encrypted, **small}, {})
    arn = sqs.queues[f"{name}-dlq"].arn
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1000})
    sqs.account.create(name, {**encrypted, "RedrivePolicy": policy}, {})


def _fill(aws: Aws, outputs: dict[str, str], name: str) -> str:
    """Give the secrets their values, create what the stack refers to; returns the key's ARN."""
    secrets = aws.client("secretsmanager")
    secrets.put_secret_value(SecretId=outputs["EventKeySecret"], SecretString="event-key")
    parameters = aws.client("ssm")
    parameters.put_parameter(Name="/shop/signing-key", Value=SIGNING_KEY, Type="SecureString")
    s3 = aws.client("s3")
    for bucket in (BUCKET, BODIES):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=BUCKET, Key="large", Body=event("shop/order", 9))
    _create_machine(aws.client("stepfunctions"))
    return _key(aws.client("kms"), name)


def _key(kms: Any, name: str) -> str:
    aliases = kms.list_aliases()["Aliases"]
    (key,) = (a["TargetKeyId"] for a in aliases if a["AliasName"] == f"alias/{name}")
    # moto's CloudFormation stores the policy in a form that moto's KMS cannot read.
    allow = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy)
    return str(kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"])


def _create_machine(states: Any) -> None:
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
    states.create_state_machine(
        name=MACHINE.split(":")[6],
        definition=definition,
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/machine",
    )
