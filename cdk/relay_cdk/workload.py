"""What a host runs: the relay's variables, permissions, log and network, the same on each host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs

from relay_cdk.network import Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A relay, or a part of it, for a host to run.

    Attributes:
        variables: the environment variables.
        policy: what its role has to allow.
        log_group: where its log goes.
        log_group_arn: the ARN of that group, without the `:*` of the group's own attribute.
        placement: the network that exists already, if any.
        endpoints: the AWS services that it calls besides those of every relay.
        stop: seconds from SIGTERM to its end, at most.
    """

    variables: Mapping[str, str]
    policy: iam.IManagedPolicy
    log_group: logs.ILogGroup
    log_group_arn: str
    placement: Placement | None
    endpoints: Sequence[str]
    stop: float
