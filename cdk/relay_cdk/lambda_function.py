"""The relay on Lambda: a function and the event source mapping that invokes it."""

from __future__ import annotations

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
        self.role = self._role(workload)
        code = self._code(options)
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
            logging_config=_logging(workload.log_group.log_group_name),
            reserved_concurrent_executions=options.reserved_concurrency or None,
            vpc_config=self._vpc(placement) if placement else None,
        )
        # Lambda connects the function to its subnets with the role's own permissions.
        self.function.node.add_dependency(self.role.node.find_child("DefaultPolicy"))
        self.mapping = self._mapping(options, queue_arn)

    def _role(self, workload: Workload) -> iam.Role:
        role = iam.Role(
            self,
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

    def _vpc(self, placement: Placement) -> lambda_.CfnFunction.VpcConfigProperty:
        group = outbound_only(self, "Functions", by_id(self, placement), "Function of the relay")
        return lambda_.CfnFunction.VpcConfigProperty(
            subnet_ids=list(placement.subnets), security_group_ids=[group.security_group_id]
        )

    def _code(self, options: Options) -> s3_assets.Asset:
        written = options.bundle
        if written is None:
            written = Path(cdk.Stage.of(self).asset_outdir) / f"function-{self.node.addr}.zip"
            function_bundle.write(
                written,
                python=options.python,
                architecture=options.processor,
                extras=needs_of(options.settings).extras,
            )
        elif not written.is_file():
            raise BadOption(f"bundle: {written} does not exist")
        return s3_assets.Asset(self, "Code", path=str(written))

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


def _logging(group: str) -> lambda_.CfnFunction.LoggingConfigProperty:
    return lambda_.CfnFunction.LoggingConfigProperty(
        log_group=group,
        log_format="JSON",
        # RELAY_LOG_LEVEL decides about the relay's own lines.
        application_log_level="TRACE",
        # Otherwise three lines for each invocation.
        system_log_level="WARN",
    )
