"""The relay on Lambda: a function and the event source mapping that invokes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from relay.settings import clocks
from relay_cdk import function_bundle
from relay_cdk.needs import needs_of
from relay_cdk.network import Placement, by_id, outbound_only
from relay_cdk.options import BadOption, Options
from relay_cdk.permissions import allow
from relay_cdk.workload import Workload

HANDLER = "relay.app.aws_lambda.handler"


class Function(Construct):
    """The function, its role, and the event source mapping of the main queue."""

    def __init__(
        self,
        scope: Construct,
        ident: str,
        options: Options,
        *,
        queue_arn: str,
        workload: Workload,
    ) -> None:
        super().__init__(scope, ident)
        placement = workload.placement
        self.role = function_role(self, workload)
        code = function_code(self, options, needs_of(options.settings).extras)
        self.function = lambda_.CfnFunction(
            self,
            "Function",
            function_name=options.name,
            description="SQS to the orchestrator",
            runtime=f"python{options.python}",
            architectures=[options.processor],
            handler=HANDLER,
            code=lambda_.CfnFunction.CodeProperty(
                s3_bucket=code.s3_bucket_name, s3_key=code.s3_object_key
            ),
            role=self.role.role_arn,
            timeout=int(clocks.LAMBDA_TIMEOUT),
            memory_size=options.function_memory,
            environment=lambda_.CfnFunction.EnvironmentProperty(variables=dict(workload.variables)),
            logging_config=json_logging(workload.log_group.log_group_name),
            reserved_concurrent_executions=options.reserved_concurrency or None,
            vpc_config=vpc_of(self, placement) if placement else None,
        )
        # Lambda connects the function to its subnets with the role's own permissions.
        self.function.node.add_dependency(self.role.node.find_child("DefaultPolicy"))
        self.mapping = self._mapping(options, queue_arn)

    def _mapping(self, options: Options, queue_arn: str) -> lambda_.CfnEventSourceMapping:
        kind = lambda_.CfnEventSourceMapping
        pollers = options.max_pollers > 0
        return kind(
            self,
            "Queue",
            event_source_arn=queue_arn,
            function_name=self.function.ref,
            batch_size=options.batch_size,
            maximum_batching_window_in_seconds=options.batch_window or None,
            # Without it, one message that must wait would bring back the whole batch.
            function_response_types=["ReportBatchItemFailures"],
            scaling_config=None
            if pollers
            else kind.ScalingConfigProperty(maximum_concurrency=options.max_concurrency),
            provisioned_poller_config=kind.ProvisionedPollerConfigProperty(
                minimum_pollers=options.min_pollers, maximum_pollers=options.max_pollers
            )
            if pollers
            else None,
        )


def function_role(scope: Construct, workload: Workload) -> iam.Role:
    """The role of a function with what the workload and Lambda itself need."""
    role = iam.Role(
        scope,
        "Role",
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        description="The relay's function",
        managed_policies=[workload.policy],
    )
    # Lambda itself writes what the function prints.
    streams = [f"{workload.log_group_arn}:*"]
    role.add_to_policy(allow("Log", streams, "logs:CreateLogStream", "logs:PutLogEvents"))
    if workload.placement:
        # Lambda connects the function to its subnets. Only a delete could name a resource.
        role.add_to_policy(
            allow(
                "Network",
                ["*"],
                "ec2:CreateNetworkInterface",
                "ec2:DeleteNetworkInterface",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSubnets",
                "ec2:AssignPrivateIpAddresses",
                "ec2:UnassignPrivateIpAddresses",
            )
        )
    return role


def function_code(scope: Construct, options: Options, extras: Sequence[str]) -> s3_assets.Asset:
    """The zip that the options name, or else one that is built with the libraries of the extras."""
    written = options.bundle if options.worker == "lambda" else None
    if written is None:
        written = Path(cdk.Stage.of(scope).asset_outdir) / f"function-{scope.node.addr}.zip"
        function_bundle.write(
            written,
            python=options.python,
            architecture=options.processor,
            extras=extras,
        )
    elif not written.is_file():
        raise BadOption(f"bundle: {written} does not exist")
    return s3_assets.Asset(scope, "Code", path=str(written))


def vpc_of(scope: Construct, placement: Placement) -> lambda_.CfnFunction.VpcConfigProperty:
    """The network of a function, with a security group that accepts nothing."""
    group = outbound_only(scope, "Functions", by_id(scope, placement), "Function of the relay")
    return lambda_.CfnFunction.VpcConfigProperty(
        subnet_ids=list(placement.subnets), security_group_ids=[group.security_group_id]
    )


def json_logging(group: str) -> lambda_.CfnFunction.LoggingConfigProperty:
    """A function's log in the group, with the lines as the relay writes them."""
    return lambda_.CfnFunction.LoggingConfigProperty(
        log_group=group,
        log_format="JSON",
        # RELAY_LOG_LEVEL decides about the relay's own lines.
        application_log_level="TRACE",
        # Otherwise three lines for each invocation.
        system_log_level="WARN",
    )
