"""The policies allow what the relay calls, and nothing else.

Every command and host runs on a recording AWS, and each of its calls is compared with the policies
that the stack creates, in both directions. IAM and Elastic Beanstalk are stubs here, which enforce
nothing: this proves that calls and policies name the same actions and resources. What SQS, DynamoDB
and Secrets Manager do with a KMS key on the caller's behalf is taken from their documentation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.aws_calls import Call
from tests.deploy.exercise import INSTANCE, OPERATOR, PRODUCER, SQSD, TASK
from tests.deploy.exercise_steps import record, record_function, record_task
from tests.deploy.gateway_exercise import record_gateway
from tests.deploy.iam_policy import Grant, grants
from tests.deploy.simulated_aws import simulated_aws
from tests.deploy.template import Template

NOT_FOR_US = {
    "AuditLog": "the CloudWatch agent uploads the audit log",
    "Bundle": "Elastic Beanstalk downloads the application's version",
    "Health": "its health agent reports the instance's statistics",
    "PeriodicTaskLeader": "sqsd elects the instance that sends the tasks of a cron.yaml",
    "PeriodicTasks": "sqsd sends them to the queue",
    "PlatformBucket": "Elastic Beanstalk's engine looks for its files",
    "PlatformFiles": "and downloads them",
    "PlatformLogs": "the CloudWatch agent uploads the platform's logs",
    "PlatformMetrics": "sqsd and the health agent report theirs",
    "PublishedLogs": "Elastic Beanstalk's engine uploads logs that are requested or rotated",
}
"""Statements of the instance's role that the platform uses, and no code of the relay."""

NO_PERMISSION = {"sts:GetCallerIdentity": "AWS allows it to everybody"}

DENIED = {
    "kms:GenerateDataKey": "`relay doctor` tries the key itself, which only SQS may do",
    "kms:Decrypt": "the same",
}
"""Calls to KMS itself that are denied on purpose. `relay doctor` says so."""


@dataclass(frozen=True)
class Role:
    """What one role called, and what its policies allow."""

    name: str
    calls: set[Call]
    grants: list[Grant]

    def missing(self) -> list[str]:
        """The calls that would be denied, but for those that need no permission or must be."""
        return listing(
            call
            for call in self.calls
            if not any(grant.allows(call) for grant in self.grants)
            and call.action not in NO_PERMISSION
            and not (call.action in DENIED and not call.via)
        )

    def unused(self) -> list[Grant]:
        """What is allowed and was not called."""
        return [g for g in self.grants if not any(g.allows(call) for call in self.calls)]


async def roles(template: Template, directory: Path) -> tuple[Role, Role, Role]:
    """Run everything; returns the roles of the instances, of operators and of producers."""
    with simulated_aws(directory / "created") as aws:
        outputs = await asyncio.to_thread(aws.create, template)
        calls = await record(aws, outputs, directory)
        relay, operator, producer = (
            aws.policy(outputs[f"{name}PolicyArn"]) for name in ("Relay", "Operator", "Producer")
        )
        instance = [relay, *aws.role_policies("ec2.amazonaws.com")]
        return (
            Role("instance", calls[INSTANCE] | calls[SQSD], list(grants(instance))),
            Role("operator", calls[OPERATOR], list(grants([operator]))),
            Role("producer", calls[PRODUCER], list(grants([producer]))),
        )


async def test_every_call_is_allowed_and_everything_that_is_allowed_is_called(
    complete: Template, tmp_path: Path
) -> None:
    # One test, because the run takes half a minute.
    found = await roles(complete, tmp_path)
    assert {role.name: role.missing() for role in found if role.missing()} == {}
    unused = {role.name: [g for g in role.unused() if g.sid not in NOT_FOR_US] for role in found}
    assert {name: listing(rest) for name, rest in unused.items() if rest} == {}
    instance, operator, producer = found
    # No exception outlives its reason.
    assert set(NOT_FOR_US) == {grant.sid for grant in instance.unused()}
    assert not set(NOT_FOR_US) & {grant.sid for grant in (*operator.grants, *producer.grants)}
    assert set(NO_PERMISSION) | set(DENIED) <= {c.action for c in instance.calls if not c.via}


async def test_a_task_may_call_what_it_calls_and_nothing_else(
    synthesized: Path, tmp_path: Path
) -> None:
    template = Template.of(synthesized / "fargate-complete.json")
    with simulated_aws(tmp_path / "created") as aws:
        outputs = await asyncio.to_thread(aws.create, template)
        calls = await record_task(aws, outputs, tmp_path)
        policies = [aws.policy(outputs["RelayPolicyArn"])]
    task = Role("task", calls, list(grants(policies)))
    assert task.missing() == []
    # ECS fetches the image and writes the log, with a role of its own.
    assert listing(task.unused()) == []


async def test_a_function_may_call_what_it_and_lambda_call_and_nothing_else(
    synthesized: Path, tmp_path: Path
) -> None:
    template = Template.of(synthesized / "function-complete.json")
    with simulated_aws(tmp_path / "created") as aws:
        outputs = await asyncio.to_thread(aws.create, template)
        calls = await record_function(aws, outputs, tmp_path)
        policies = [aws.policy(outputs["RelayPolicyArn"]), *aws.role_policies("lambda.amazonaws")]
    function = Role("function", calls, list(grants(policies)))
    assert function.missing() == []
    # Lambda writes what the function prints.
    assert {grant.sid for grant in function.unused()} == {"Log"}


async def test_a_gateway_may_send_and_what_it_may_it_does(
    synthesized: Path, tmp_path: Path
) -> None:
    template = Template.of(synthesized / "gateway-complete.json")
    with simulated_aws(tmp_path / "created") as aws:
        outputs = await asyncio.to_thread(aws.create, template)
        calls = await record_gateway(aws, outputs, tmp_path)
        policies = [aws.policy(outputs["GatewayPolicyArn"])]
        operator = list(grants([aws.policy(outputs["OperatorPolicyArn"])]))
    gateway = Role("gateway", calls[TASK], list(grants(policies)))
    assert gateway.missing() == []
    assert listing(gateway.unused()) == []
    of_queues = {call.action for call in gateway.calls if call.action.startswith("sqs:")}
    assert of_queues == {"sqs:SendMessage", "sqs:GetQueueAttributes"}
    assert Role("operator", calls[OPERATOR], operator).missing() == []
    written = next(call for call in calls[OPERATOR] if call.action.endswith("PutSecretValue"))
    assert written.resource == outputs["GatewayKeyStore"]


def listing(found: Iterable[object]) -> list[str]:
    return sorted(map(str, found))
