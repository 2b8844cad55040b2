"""Runs every command and host on a recording AWS, under the identity that each has in production.

IAM and Elastic Beanstalk are stubs here: nothing is refused. What this records is which
permissions the calls need; whether AWS grants them shows only in an account.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay.local.inngest import InngestServer
from relay.local.processes import RelayProcess, free_port
from relay.local.sqs import SqsServer
from relay.local.sqsd import Sqsd
from tests.deploy.aws_calls import ACCOUNT, Call, Permissions
from tests.deploy.deployments import MACHINE
from tests.deploy.instance import QUICK
from tests.deploy.recorder import Recorder
from tests.deploy.simulated_aws import REGION, Aws

INSTANCE, SQSD, OPERATOR, PRODUCER, SETUP = "INSTANCE", "local", "OPERATOR", "PRODUCER", "SETUP"
TASK = "TASK"
"""Access keys, by which calls are told apart. The emulator of sqsd has a fixed one."""

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

    async def until_empty(self, relay: RelayProcess) -> None:
        """Wait until the main queue has no message, in flight or not."""
        queue = self.sqs.queues[f"{self.name}-events"]
        try:
            await self.recorder.until(lambda: not queue.messages())
        except TimeoutError:
            raise AssertionError(relay.output(30)) from None


def event(name: str, number: int) -> str:
    return json.dumps({"name": name, "data": {"n": number}, "id": f"{name}-{number}"})


def pointer(key: str) -> str:
    return json.dumps([POINTER, {"s3BucketName": BUCKET, "s3Key": key}])


LARGE_POISON = os.urandom(SMALL_QUEUE).hex()
"""Not JSON, and too large for the dead-letter queue even when compressed."""

MESSAGES = (
    event("shop/order", 1),
    event("machine/start", 1),
    pointer("large"),
    "poison",
    LARGE_POISON,
)


async def serve(run: Exercise) -> None:
    """`relay serve` behind the worker daemon."""
    port = free_port()
    output = run.directory / "serve.log"
    variables = run.variables(INSTANCE) | {"PORT": str(port)}
    async with (
        RelayProcess("serve", settings=variables, output=output, port=port) as relay,
        Sqsd(
            run.main,
            f"http://127.0.0.1:{port}",
            QUICK,
            endpoint_url=run.recorder.url,
            region=REGION,
        ),
    ):
        await run.send(*MESSAGES)
        await run.until_empty(relay)
        await run.run(OPERATOR, "status", "--once", "--relay", f"http://127.0.0.1:{port}")


async def poll(run: Exercise) -> None:
    """`relay poll`, which knows only the queue's name; without a ledger, events are repeated."""
    variables = run.variables(INSTANCE) | {"RELAY_QUEUE_URL": "shop-events"}
    for name in ("RELAY_DLQ_URL", "RELAY_LEDGER_TABLE"):
        del variables[name]
    output = run.directory / "poll.log"
    async with RelayProcess("poll", settings=variables, output=output) as relay:
        await run.send(*MESSAGES)
        await run.until_empty(relay)


async def task(run: Exercise) -> None:
    """`relay poll` with the variables of a task, which finds both queues by their names.

    The second time it has no ledger, so that it asks the state machine for what it started.
    """
    names = {"RELAY_QUEUE_URL": f"{run.name}-events", "RELAY_DLQ_URL": f"{run.name}-events-dlq"}
    for changed in ({}, {"RELAY_LEDGER_TABLE": ""}):
        variables = run.variables(TASK) | names | {"PORT": str(free_port())} | changed
        async with RelayProcess("poll", settings=variables, output=run.directory / "log") as relay:
            await run.send(*MESSAGES)
            await run.until_empty(relay)
    await run.run(TASK, "doctor", expected=1)


async def inspect(run: Exercise) -> None:
    """All that only reads."""
    await run.run(INSTANCE, "doctor", expected=1)
    await run.run(OPERATOR, "config")
    await run.run(OPERATOR, "status", "--once", RELAY_QUEUE_URL="shop-events", RELAY_DLQ_URL="")
    group = ("--log-group", "/aws/elasticbeanstalk/shop/audit")
    named = ("shop/order-1", "--name", "shop/order")
    await run.run(OPERATOR, "trace", *named, *group, "--scan-dlq")
    for command in (("list",), ("stats",), ("pull", "dead.jsonl"), ("show", "shop/order-2")):
        await run.run(OPERATOR, "dlq", *command, "--wait", "0")


async def pause(run: Exercise) -> None:
    """Pause and resume, of which relays read the mark."""
    await run.run(OPERATOR, "pause", "--reason", "a test", RELAY_DLQ_URL="")
    await run.run(OPERATOR, "resume")


async def redrive(run: Exercise) -> None:
    """All that changes the dead-letter queue."""
    common = ("--wait", "0", "--yes")
    await run.run(OPERATOR, "dlq", "redrive", *common, "--name", "shop/*", "--canary", "1")
    # Delivered before, which the destination says if no ledger does.
    direct = ("--name", "machine/*", "--direct")
    await run.run(OPERATOR, "dlq", "redrive", *common, *direct, RELAY_LEDGER_TABLE="")
    await run.run(
        OPERATOR, "dlq", "drop", "--wait", "0", "--code", "*", "--confirm", "shop-events-dlq"
    )
    await run.run(OPERATOR, "dlq", "restore", "dead.jsonl", "--yes")
    moving = ("dlq", "redrive", "--native", "--allow-new-ids", "--yes")
    cancelled = await run.start(OPERATOR, *moving, "--rate", "1")
    await run.recorder.until(lambda: run.recorder.called(OPERATOR, "sqs:ListMessageMoveTasks"))
    cancelled.send_signal(signal.SIGINT)
    await cancelled.communicate()
    await run.run(OPERATOR, *moving)


async def dead_letters(run: Exercise) -> None:
    """Dead letters of every kind."""
    bodies = (event("shop/order", 2), event("machine/start", 1), pointer("large"), "poison")
    command = ("send", "--queue", run.dead, "--no-check", "--lines", "-")
    await run.run(SETUP, *command, stdin="\n".join(bodies))


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


async def record(aws: Aws, outputs: dict[str, str], directory: Path) -> dict[str, set[Call]]:
    """Run everything on Elastic Beanstalk's variables; returns the calls of each identity."""
    host = aws.options()[VARIABLES]
    async with exercise(aws, outputs, directory, "shop", host) as run:
        await serve(run)
        await poll(run)
        await dead_letters(run)
        await inspect(run)
        await pause(run)
        await redrive(run)
        return dict(run.recorder.calls)


async def record_task(aws: Aws, outputs: dict[str, str], directory: Path) -> set[Call]:
    """Run a task of the service; returns its calls."""
    host = await asyncio.to_thread(aws.task_variables)
    async with exercise(aws, outputs, directory, "store", host) as run:
        await task(run)
        return run.recorder.calls[TASK]
